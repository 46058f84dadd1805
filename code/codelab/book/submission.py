"""What is handed in: essays as PDF and Word file, a notebook a measured question, the whole book, and all of it zipped.

Everything is made from the frozen chapters by the second renderer, so that a machine with Quarto and one without write
the same bytes. Not covered: rendering the HTML book (``codelab.book.build``).
"""

import re
import shutil
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from codelab.book.build import refuse_stale
from codelab.book.inspect import inspect_pdf
from codelab.book.inspect_notebook import inspect_notebook
from codelab.book.inspect_word import inspect_word
from codelab.book.notebook import name, write_notebooks
from codelab.book.project import Book
from codelab.book.render.pdf import write_pdf
from codelab.book.render.word import write_word

FOLDER = "submission"
ARCHIVE = "submission.zip"
NBSP = "\N{NO-BREAK SPACE}"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def essays(book: Book) -> Book:
    """The chapters that ``submission: essays:`` lists, with the references, as a document of their own.

    Raises:
        UserError: the setting is missing or names a chapter that is not there.
    """
    chapters = book.questions("essays")
    first, last = chapters[0].number, chapters[-1].number
    which = f"question {first}" if first == last else f"questions {first} to {last}"
    title = f"{book.title}: {which.replace(' ', NBSP)}"
    references = [chapter for chapter in book.chapters if "{#refs}" in chapter.text]
    extract = book.extract([*chapters, *references], title, "essays")
    extract.settings["book"] |= {"description": "; ".join(re.sub("[*`]", "", chapter.title) for chapter in chapters)}
    return extract


def build_submission(book: Book, *, allow_stale: bool = False) -> Path:
    """Write ``submission/`` whole or not at all.

    Returns:
        The folder: essays.pdf, essays.docx, a notebook for each measured question, exam.pdf, and submission.zip.

    Raises:
        UserError: no author, a stale chapter, or one that cannot be rendered or executed; nothing is changed then.
    """
    author = book.author
    extract = essays(book)
    if not allow_stale:
        refuse_stale(book)
    exam = book.extract(book.chapters, book.title, "exam")
    exam.settings["book"] |= {"subtitle": book.of("subtitle"), "author": author}
    folder = book.root / FOLDER
    with tempfile.TemporaryDirectory(dir=book.root, prefix=f".{FOLDER}-") as scratch:
        fresh = Path(scratch)
        write_pdf(extract, fresh / "essays.pdf")
        write_word(extract, fresh / "essays.docx")
        write_notebooks(book, fresh)
        write_pdf(exam, fresh / "exam.pdf")
        pack(fresh, fresh / ARCHIVE)
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            else:
                old.unlink()
        for path in sorted(fresh.iterdir()):
            path.replace(folder / path.name)
    return folder


def files(book: Book) -> list[str]:
    """Names of the files that are handed in, in the archive's order."""
    notebooks = [name(chapter) for chapter in book.questions("notebooks")]
    return sorted(["essays.pdf", "essays.docx", "exam.pdf", *notebooks])


def pack(folder: Path, target: Path) -> None:
    """Zip the files of a folder: sorted, with one time and one mode, so that the same files give the same bytes."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path != target)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in paths:
            entry = zipfile.ZipInfo(path.name, _EPOCH)
            entry.create_system = 3  # Unix, so that the mode counts
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def look(book: Book, folder: Path) -> list[str]:
    """Faults of a finished submission, by the checks that the book has to pass; PDFs where pypdf is installed."""
    extract, faults = essays(book), []
    absent = [f"{name}: missing" for name in [*files(book), ARCHIVE] if not (folder / name).is_file()]
    if absent:
        return absent
    if find_spec("pypdf"):
        faults += inspect_pdf(extract, folder / "essays.pdf") + inspect_pdf(book, folder / "exam.pdf")
    faults += inspect_word(extract, folder / "essays.docx")
    for chapter in book.questions("notebooks"):
        faults += inspect_notebook(book, chapter, folder / name(chapter))
    return faults + _archive(book, folder)


def _archive(book: Book, folder: Path) -> list[str]:
    try:
        with zipfile.ZipFile(folder / ARCHIVE) as archive:
            held = archive.namelist()
            changed = [entry for entry in held if _differs(archive.read(entry), folder / entry)]
    except (OSError, zipfile.BadZipFile) as error:
        return [f"{ARCHIVE}: cannot be read ({error})"]
    faults = [f"{ARCHIVE}: {entry} is not the file beside it" for entry in changed]
    if held != files(book):
        faults.append(f"{ARCHIVE}: holds {', '.join(held)}; expected {', '.join(files(book))}")
    return faults


def _differs(content: bytes, path: Path) -> bool:
    return not path.is_file() or path.read_bytes() != content
