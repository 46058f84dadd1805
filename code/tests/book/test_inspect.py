"""The inspection itself: each fault, put into good output by hand, is found."""

import shutil
from pathlib import Path

import pytest

from codelab.book.build import build_pandoc, look
from codelab.book.inspect import debris, inspect_html, inspect_pdf, squash
from codelab.book.project import Book, read_book
from codelab.book.render.pdf import write_pdf

ESSAY, NUMBERS = "chapters/01-essay.html", "chapters/02-numbers.html"


@pytest.fixture(scope="module")
def good(fixture_book: Book, tmp_path_factory: pytest.TempPathFactory) -> Book:
    """The fixture book with good output."""
    root = tmp_path_factory.mktemp("inspect") / "book"
    shutil.copytree(fixture_book.root, root)
    book = read_book(root)
    build_pandoc(book)
    return book


@pytest.mark.parametrize(
    ("page", "old", "new", "fault"),
    [
        (ESSAY, "A line that rises", "A line", "caption of @fig-q1-line"),
        (ESSAY, "Table\u00a01.1:", "Table\u00a01.2:", "caption of @tbl-q1-decision"),
        (ESSAY, "(1.1)", "(1.2)", "number of @eq-q1-loss"),
        (ESSAY, ", and when does it help?", "", "title"),
        (ESSAY, 'alt="A straight line', 'alt="Some line', "no picture says"),
        (ESSAY, "<math", "<span", "in MathML"),
        (ESSAY, "callout-warning", "callout-other", "callouts of kind warning"),
        (ESSAY, ">Figure\u00a02.1</a>", ">there</a>", "no link 'Figure 2.1'"),
        (ESSAY, "references.html#ref-fixture2021other", "references.html", "@fixture2021other is no link"),
        (ESSAY, "<table", "<div", "tables expected"),
        (ESSAY, "A quotation.", "A quotation ?@fig-x.", "unresolved reference"),
        (ESSAY, "A quotation.", "A ::: quotation.", "Markdown left over"),
        (NUMBERS, "printed 2", "Traceback (most recent call last)", "traceback"),
        (NUMBERS, "printed 2", "x.py:1: FutureWarning: y", "warning"),
        (NUMBERS, "printed 2", " 40%|████      | 4/10", "progress bar"),
        (NUMBERS, "The rate is", "The rate is 3\\xa0s and", "escape left over"),
        (NUMBERS, "</head>", '<script src="https://cdn.example.org/x.js"></script></head>', "loads https://cdn"),
        (NUMBERS, "</head>", '<style>@import "//fonts.example.org/x.css";</style></head>', "a style loads"),
        ("assets/book.css", ":root", "@import url(https://example.org/a.css); :root", "loads from another host"),
        ("references.html", 'id="ref-fixture2020first"', "", "no entry for @fixture2020first"),
    ],
)
def test_each_fault_is_found(good: Book, page: str, old: str, new: str, fault: str) -> None:
    path = good.root / "_book" / page
    text = path.read_text(encoding="utf-8")
    assert old in text
    try:
        path.write_text(text.replace(old, new), encoding="utf-8")
        faults = inspect_html(good, good.root / "_book")
    finally:
        path.write_text(text, encoding="utf-8")
    assert any(fault in found for found in faults), faults


def test_missing_files_are_found(good: Book, tmp_path: Path) -> None:
    assert f"{NUMBERS}: missing" in look(good, tmp_path)
    assert f"{good.stem}.pdf: missing" in look(good, tmp_path)


def test_faults_of_a_pdf_are_found(good: Book, tmp_path: Path) -> None:
    path = good.root / "chapters/01-essay.qmd"
    text = path.read_text(encoding="utf-8")
    settings = (good.root / "_quarto.yml").read_text(encoding="utf-8")
    try:
        path.write_text(text.replace("A line that rises", "A line").replace("A quotation", r"A ?\@nothing"))
        (good.root / "_quarto.yml").write_text(settings.replace("lang: en", "lang: de").replace("A Fixture", "Another"))
        write_pdf(read_book(good.root), tmp_path / "bad.pdf")
    finally:
        path.write_text(text, encoding="utf-8")
        (good.root / "_quarto.yml").write_text(settings, encoding="utf-8")
    faults = inspect_pdf(good, tmp_path / "bad.pdf")
    for fault in ("caption of @fig-q1-line", "unresolved reference", "its title is", "its language is"):
        assert any(fault in found for found in faults), fault


def test_code_may_speak_of_debris() -> None:
    assert debris("@fig-x", "page")
    assert not debris("someone@example.org warns of a warning: 40 % of all", "page")
    assert squash("A ﬁne\u00adly hy-\nphenated") == "afinelyhyphenated"
