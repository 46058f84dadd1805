"""The first call of every chapter: seeds, look, short errors.

Not covered: anything that reads records; importing this module costs nothing.
"""

import os
import random
import sys
from typing import Any

from codelab.errors import UserError

SEED = 20261122


def setup() -> None:
    """Fix the seeds, put on the book's look, and make a missing record one clear line instead of a traceback."""
    # Figures and their ids come out the same at each execution, so that freezing twice changes nothing.
    os.environ["SOURCE_DATE_EPOCH"] = "0"
    random.seed(SEED)
    import numpy as np  # noqa: PLC0415 - kept out of `import codelab.book`

    from codelab.book.style import use_style  # noqa: PLC0415

    np.random.seed(SEED)  # noqa: NPY002 - pandas and seaborn draw from the global generator
    use_style()
    _show_strings()
    UserError._render_traceback_ = _one_line  # type: ignore[attr-defined]


def _show_strings() -> None:
    """Let inline code show strings as they are: otherwise a no-break space comes out as its escape."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython  # noqa: PLC0415

    shell: Any = get_ipython()
    if shell is not None:
        shell.display_formatter.formatters["text/markdown"].for_type(str, str)


def _one_line(error: Any, *_: Any) -> list[str]:
    return [f"codelab: {error}"]
