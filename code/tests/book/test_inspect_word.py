"""The inspection of the Word file, on a small file made by hand."""

import zipfile
from pathlib import Path

import pytest

from codelab.book.inspect import content
from codelab.book.inspect_word import inspect_word
from codelab.book.project import Book

NAMESPACES = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    ' xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    ' xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"'
)


def write(path: Path, book: Book, old: str = "\0", new: str = "", extra: str = "word/media/a.png") -> Path:
    """Everything that the book promises, as one paragraph each, with one change."""
    lines = ["<w:p><w:r><w:rPr><w:rStyle w:val='VerbatimChar'/></w:rPr><w:t>@fig-in-code</w:t></w:r></w:p>"]
    for chapter in book.chapters:
        found = content(chapter, "docx")
        captions = [f"{label}: {found.captions.get(key, '')}" for key, label in found.labels.items()]
        texts = [text.replace("*", "").replace("$", "") for text in (chapter.title, *captions)]
        lines += [f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in texts]
        lines += [f'<w:p><w:r><wp:docPr descr="{text}"/></w:r></w:p>' for text in found.alternatives]
        lines += ["<w:p><m:oMath/></w:p>"] * found.formulas
    body = f"<w:document {NAMESPACES}>{''.join(lines)}</w:document>"
    assert old == "\0" or old in body
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", body.replace(old, new))
        archive.writestr(extra, b"")
    return path


def test_good(fixture_book: Book, tmp_path: Path) -> None:
    assert inspect_word(fixture_book, write(tmp_path / "a.docx", fixture_book)) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("Numbers from a record", "Numbers", "02-numbers.qmd: title"),
        ("Figure 1.1: A line", "Figure 1.2: A line", "caption of @fig-q1-line"),
        ("The same line again", "Another line again", "no picture says 'The same line again.'"),
        ("<m:oMath/>", "", "formulas expected, 0 shown"),
        ("@fig-in-code</w:t></w:r>", "</w:t></w:r><w:r><w:t>?@fig-x</w:t></w:r>", "unresolved reference"),
    ],
)
def test_each_fault_is_found(fixture_book: Book, tmp_path: Path, old: str, new: str, fault: str) -> None:
    faults = inspect_word(fixture_book, write(tmp_path / "a.docx", fixture_book, old, new))
    assert any(fault in found for found in faults), faults


def test_vectors_and_unreadable_files(fixture_book: Book, tmp_path: Path) -> None:
    path = write(tmp_path / "a.docx", fixture_book, extra="word/media/a.svg")
    assert inspect_word(fixture_book, path) == ["a.docx: holds word/media/a.svg, which Word may not show"]
    path.write_bytes(b"not a zip")
    assert "cannot be read" in inspect_word(fixture_book, path)[0]
