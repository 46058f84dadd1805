"""The second renderer where it must refuse, and details that the shared list of checks does not see."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from codelab.book.build import build_pandoc, build_quarto
from codelab.book.project import Book
from codelab.book.render.html import write_html
from codelab.book.render.pdf import write_pdf
from codelab.errors import UserError

Edit = Callable[[str, str, str], Book]
ESSAY = "chapters/01-essay.qmd"


@pytest.mark.parametrize(
    ("path", "old", "new", "line"),
    [
        (ESSAY, "See @fig-q1-line", "See @fig-q1-gone", "lead nowhere: @fig-q1-gone in chapters/01-essay.qmd"),
        (ESSAY, "@fixture2021other agree", "@nobody2020 agree", "without an entry in references.bib: @nobody2020"),
        (ESSAY, "../figures/line.svg", "../figures/none.svg", r"shows ../figures/none.svg, which does not exist"),
        (ESSAY, "a^2 + b^2", r"a^2 + \\nonsense{b^2", "Pandoc: .*Could not convert TeX math"),
        ("chapters/03-notes.qmd", "{#fig-notes-line", "{#fig-q1-line", "id 'fig-q1-line' is used twice"),
        ("chapters/02-numbers.qmd", "The rate", "A rate", "its text changed after its html output was frozen"),
    ],
)
def test_one_line_for_each_fault_and_nothing_half_written(edit: Edit, path: str, old: str, new: str, line: str) -> None:
    book = edit(path, old, new)
    with pytest.raises(UserError, match=line):
        build_pandoc(book, allow_stale=True)
    assert not (book.root / "_book").exists()
    assert not list(book.root.glob("._book*"))


def test_stale_chapters_are_refused(edit: Edit) -> None:
    book = edit("results/q0-fixture/20261101T000000Z-cpu/record.json", "1234.5", "1234.6")
    with pytest.raises(UserError, match=r"record q0-fixture/20261101T000000Z-cpu changed \(and 2 more"):
        build_pandoc(book)
    assert build_pandoc(book, allow_stale=True).is_dir()


def test_the_old_book_goes_only_when_the_new_one_is_whole(edit: Edit, book: Book) -> None:
    output = build_pandoc(book)
    (output / "old.html").write_text("")
    with pytest.raises(UserError):
        build_pandoc(edit(ESSAY, "See @fig-q1-line", "See @fig-q1-gone"))
    assert (output / "old.html").exists()
    build_pandoc(edit(ESSAY, "See @fig-q1-gone", "See @fig-q1-line"))
    assert not (output / "old.html").exists()


def test_html_details(book: Book) -> None:
    output = build_pandoc(book)
    essay = (output / "chapters/01-essay.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in essay
    assert essay.count("<h1") == 1
    assert re.search(r'<details class="callout callout-tip"><summary>Folded tip</summary>', essay)
    assert "<code>@fixture2021other</code>" in essay
    assert 'aria-current="page"' in essay
    numbers = (output / "chapters/02-numbers.html").read_text(encoding="utf-8")
    assert numbers.count('<details class="fold">') == 4
    assert re.search(r'<figure id="tbl-q2-speed" class="table">', numbers)
    index = (output / "assets/search.js").read_text(encoding="utf-8")
    entries = json.loads(index.removeprefix("window.bookIndex = ").rstrip(";\n"))
    assert ["chapters/01-essay.html", "sec-q1-objective"] in [entry[:2] for entry in entries]
    assert not any("<" in entry[3] for entry in entries if "annotation" in entry[3])


def test_a_book_without_a_chapter_for_references(edit: Edit, tmp_path: Path) -> None:
    book = edit("_quarto.yml", "    - references.qmd\n", "")
    write_html(book, tmp_path)
    assert 'id="ref-fixture2020first"' in (tmp_path / "chapters/03-notes.html").read_text(encoding="utf-8")


def test_the_same_input_gives_the_same_pages(book: Book, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_html(book, tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_pdf_without_its_template(book: Book, tmp_path: Path) -> None:
    (book.root / "assets/typst/typst-template.typ").unlink()
    with pytest.raises(UserError, match="template is missing"):
        write_pdf(book, tmp_path / "a.pdf")


def test_quarto_failures_are_one_line(book: Book, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "quarto"
    monkeypatch.setattr("codelab.book.build.find_quarto", lambda: str(fake))
    fake.write_text("#!/bin/sh\necho 'WARN: Unable to resolve link'\n")
    fake.chmod(0o755)
    (book.root / "_book").mkdir()
    for suffix in (".pdf", ".docx"):
        (book.root / "_book" / f"A-Fixture-Book{suffix}").write_bytes(b"")
    with pytest.raises(UserError, match="warned: WARN: Unable"):
        build_quarto(book)
    fake.write_text("#!/bin/sh\necho '[IPKernelApp] WARNING: without encryption'\n")
    assert build_quarto(book) == book.root / "_book"
    (book.root / "_book/A-Fixture-Book.docx").unlink()
    with pytest.raises(UserError, match=r"exit status 0, but no A-Fixture-Book\.docx"):
        build_quarto(book)
    fake.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(UserError, match="exit status 3"):
        build_quarto(book)
    monkeypatch.setattr("codelab.book.build.find_quarto", lambda: None)
    with pytest.raises(UserError, match="make setup-quarto"):
        build_quarto(book)
