"""The book as a project: numbers, parts, ids, frozen text, and what is said when it is not there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from codelab.book.project import Book, read_book
from codelab.errors import UserError

Edit = Callable[[str, str, str], Book]


def test_numbers_and_labels(fixture_book: Book) -> None:
    found = [(chapter.label, chapter.identifier, chapter.page) for chapter in fixture_book.chapters]
    assert found == [
        ("Preface", "", "index.html"),
        ("Chapter 1", "sec-q1", "chapters/01-essay.html"),
        ("Chapter 2", "sec-q2", "chapters/02-numbers.html"),
        ("References", "", "references.html"),
        ("Appendix A", "sec-notes", "chapters/03-notes.html"),
    ]
    assert fixture_book.formats == ["html", "typ", "docx"]
    assert (fixture_book.title, fixture_book.stem) == ("A Fixture Book", "A-Fixture-Book")


def test_parts_and_words(edit: Edit) -> None:
    edit("_quarto.yml", "    - chapters/01-essay.qmd\n", "    - part: One\n      chapters: [chapters/01-essay.qmd]\n")
    found = edit("_quarto.yml", "lang: en", "lang: en\nlanguage:\n  crossref-ch-prefix: Question")
    assert (found.chapters[1].label, found.chapters[1].part) == ("Question 1", "One")
    assert (found.chapters[2].label, found.chapters[2].part) == ("Question 2", "")


def test_a_comment_in_code_is_no_heading(edit: Edit) -> None:
    found = edit("chapters/02-numbers.qmd", "import codelab.book as book", "# Not a title\nimport codelab.book as book")
    assert found.chapters[2].title == "Numbers from a record"


def test_frozen(fixture_book: Book) -> None:
    essay, numbers = fixture_book.chapters[1:3]
    assert not essay.executable
    assert essay.frozen("html") == essay.text
    assert numbers.executable
    assert "1,234\N{NO-BREAK SPACE}tokens/s" in numbers.frozen("html")
    assert "figure-typst" in numbers.frozen("typ")


def test_errors(edit: Edit, book: Book, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no frozen ipynb output"):
        book.chapters[2].frozen("ipynb")
    with pytest.raises(UserError, match="its text changed"):
        edit("chapters/02-numbers.qmd", "The rate", "A rate").chapters[2].frozen("html")
    with pytest.raises(UserError, match="no heading"):
        edit("chapters/03-notes.qmd", "# Notes", "Notes")
    with pytest.raises(UserError, match=r"gone\.qmd: a chapter of _quarto\.yml"):
        edit("_quarto.yml", "01-essay.qmd", "gone.qmd")
    for text in ("book: [", "project: {}", "[]"):
        (tmp_path / "_quarto.yml").write_text(text)
        with pytest.raises(UserError, match="not the settings of a book"):
            read_book(tmp_path)
