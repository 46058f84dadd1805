"""One build of the book: choose the renderer, write the output whole or not at all, look at what came out.

Not covered: executing chapters without Quarto; a book whose frozen chapters are stale is refused then.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from codelab.book.freshness import stale, stamp, thaw
from codelab.book.inspect import inspect_html, inspect_pdf
from codelab.book.inspect_notebook import inspect_notebook
from codelab.book.inspect_word import inspect_word
from codelab.book.notebook import name
from codelab.book.project import Book
from codelab.errors import UserError

OUTPUT = "_book"
DOWNLOADS = "downloads"  # notebooks, beside the pages
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_WARNING = re.compile(r"^.*(?:\bWARN(?:ING)?\b:|\[WARNING\]|Unable to resolve|not found in).*$", re.MULTILINE)
# Said by every kernel start, about a socket on this machine.
_HARMLESS = re.compile(r"\[IPKernelApp\]|without encryption")


def find_quarto() -> str | None:
    """The Quarto program: on PATH, or beside this Python, where its package puts it."""
    beside = Path(sys.executable).parent / "quarto"
    return shutil.which("quarto") or (str(beside) if beside.exists() else None)


def refuse_stale(book: Book) -> None:
    """Stop where the frozen book is not the book.

    Raises:
        UserError: names the first reason and how many there are.
    """
    reasons = stale(book)
    if reasons:
        more = f" (and {len(reasons) - 1} more; see `codelab check`)" if len(reasons) > 1 else ""
        raise UserError(f"{reasons[0]}{more}; `make book-quarto` executes stale chapters")


def build_pandoc(book: Book, *, allow_stale: bool = False) -> Path:
    """Write HTML, PDF and Word with the second renderer.

    Returns:
        The output folder, replaced as a whole.

    Raises:
        UserError: a chapter is stale or cannot be rendered; the old output stays.
    """
    from codelab.book.render.html import write_html  # noqa: PLC0415 - drags in Pandoc and Typst
    from codelab.book.render.pdf import write_pdf  # noqa: PLC0415
    from codelab.book.render.word import write_word  # noqa: PLC0415

    if not allow_stale:
        refuse_stale(book)
    output = book.root / OUTPUT
    with tempfile.TemporaryDirectory(dir=book.root, prefix=f".{OUTPUT}-") as scratch:
        fresh = Path(scratch) / "book"
        fresh.mkdir()
        write_html(book, fresh)
        write_pdf(book, fresh / f"{book.stem}.pdf")
        write_word(book, fresh / f"{book.stem}.docx")
        shutil.rmtree(output, ignore_errors=True)
        fresh.rename(output)
    return output


def build_quarto(book: Book) -> Path:
    """Render every format with Quarto, executing stale chapters, and stamp what was frozen.

    Returns:
        The output folder.

    Raises:
        UserError: Quarto fails or warns, or a chapter is still stale afterwards.
    """
    quarto = find_quarto()
    if quarto is None:
        raise UserError("quarto: not on PATH; install it with `make setup-quarto`, or use `--renderer pandoc`")
    for folder in thaw(book):
        print(f"stale, so executed again: {folder.relative_to(book.root)}", file=sys.stderr)
    environment = os.environ | {"QUARTO_PYTHON": sys.executable}
    done = subprocess.run(
        [quarto, "render"], cwd=book.root, env=environment, capture_output=True, text=True, check=False
    )
    log = _COLOUR.sub("", done.stdout + done.stderr)
    if done.returncode:
        print(log, file=sys.stderr)
        raise UserError(f"quarto render: exit status {done.returncode}; its log is above")
    warnings = [line.strip() for line in _WARNING.findall(log) if not _HARMLESS.search(line)]
    stamp(book)
    absent = [
        name for name in book.formats if name != "html" and not (book.root / OUTPUT / _file(book, name)).is_file()
    ]
    if absent:
        raise UserError(f"quarto render: exit status 0, but no {', '.join(_file(book, name) for name in absent)}")
    if warnings:
        raise UserError(f"quarto render warned: {' | '.join(warnings[:5])}")
    refuse_stale(book)
    return book.root / OUTPUT


def look(book: Book, output: Path) -> list[str]:
    """Faults of the finished output, as ``codelab book build`` writes it; the PDF is read where pypdf is installed."""
    faults = inspect_html(book, output)
    if find_spec("pypdf"):
        faults += inspect_pdf(book, output / f"{book.stem}.pdf")
    elif not (output / f"{book.stem}.pdf").is_file():
        faults.append(f"{book.stem}.pdf: missing")
    if "docx" in book.formats:
        faults += inspect_word(book, output / f"{book.stem}.docx")
    notebooks = (book.settings.get("submission") or {}).get("notebooks")
    for chapter in book.questions("notebooks") if notebooks else ():
        faults += inspect_notebook(book, chapter, output / DOWNLOADS / name(chapter))
    return faults


def _file(book: Book, extension: str) -> str:
    return f"{book.stem}.{'pdf' if extension == 'typ' else extension}"
