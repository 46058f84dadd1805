"""What a chapter's first call does inside a kernel: looked at in a real IPython shell."""

import random

import matplotlib as mpl
import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from codelab import book
from codelab.book.setup import SEED


def test_seeds_and_style() -> None:
    with mpl.rc_context():
        book.setup()
        first = (random.random(), np.random.random())  # noqa: NPY002
        assert mpl.rcParams["svg.hashsalt"] == "codelab"
        book.setup()
        assert (random.random(), np.random.random()) == first  # noqa: NPY002
    assert SEED == 20261122


def test_strings_are_shown_as_they_are_and_errors_as_one_line() -> None:
    shell = InteractiveShell.instance()
    try:
        with mpl.rc_context():
            shell.run_cell("import codelab.book as book; book.setup()")
        data, _ = shell.display_formatter.format("1\N{NO-BREAK SPACE}s")
        assert data["text/markdown"] == "1\N{NO-BREAK SPACE}s"
        with capture_output() as said:
            shell.run_cell("from codelab.errors import UserError\nraise UserError('results/x: no run yet')")
        assert said.stdout.strip() == "codelab: results/x: no run yet"
    finally:
        InteractiveShell.clear_instance()
