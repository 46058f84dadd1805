"""The look that every figure of the book shares: style file, palette, hatches, sizes.

Not covered: single plots (``codelab.book.figures``) and diagrams (``codelab.book.diagrams``).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
STYLE = ASSETS / "book.mplstyle"

# Safe for colour blindness; the order steps in lightness so that neighbours differ in grey.
PALETTE = ("#0b3c6f", "#d55e00", "#56b4e9", "#007a5a", "#e8b029", "#8c4a86")
INK = "#1a1a1a"
MUTED = "#5f5f5f"
PALE = ("#dce6f1", "#fbe3d3", "#e3f2fb", "#d9ece5", "#faf0d4", "#ecdfea")
HATCHES = ("", "//", "..", "xx", "\\\\", "--")
WIDTH = 6.5  # inches; the width of a text column in the PDF


def use_style() -> None:
    """Make the book's style the process-wide one; the backend stays as it is."""
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib import style  # noqa: PLC0415

    mpl.rcdefaults()
    style.use(STYLE)


@contextmanager
def styled() -> Iterator[None]:
    """Use the book's style inside a ``with`` block only, drawing without a display."""
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    with mpl.rc_context():
        use_style()
        yield
