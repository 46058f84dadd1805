"""Both renderers are held to the same list: everything that a chapter promises is on the page, and no debris.

The fixture book has every construct once. Where Quarto is installed, it renders the same book with the repository's own
formats and filters, from the same frozen outputs.
"""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from docx import Document
from pypdf import PdfReader

from codelab.book.build import build_pandoc, build_quarto, find_quarto
from codelab.book.freshness import stamp
from codelab.book.inspect import content, inspect_html, inspect_pdf
from codelab.book.inspect_word import inspect_word
from codelab.book.project import Book, read_book

REPOSITORY = Path(__file__).parents[3]
REPOSITORY_ADDRESS = "https://github.com/owner/exam"
quarto = pytest.param("quarto", marks=[pytest.mark.quarto, pytest.mark.slow])


@pytest.fixture(scope="module", params=["pandoc", quarto])
def built(request: pytest.FixtureRequest, fixture_book: Book, tmp_path_factory: pytest.TempPathFactory) -> Book:
    """The fixture book, rendered, with its output in ``_book``."""
    root = tmp_path_factory.mktemp(request.param) / "book"
    shutil.copytree(fixture_book.root, root)
    settings = (root / "_quarto.yml").read_text(encoding="utf-8")
    address = f"book:\n  repo-url: {REPOSITORY_ADDRESS}\n  repo-branch: trunk\n  repo-actions: [edit]\n"
    (root / "_quarto.yml").write_text(settings.replace("book:\n", address, 1), encoding="utf-8")
    if request.param == "pandoc":
        book = read_book(root)
        build_pandoc(book)
        return book
    if find_quarto() is None:
        pytest.skip("quarto is not installed")
    real = yaml.safe_load((REPOSITORY / "_quarto.yml").read_text(encoding="utf-8"))
    ours = yaml.safe_load((root / "_quarto.yml").read_text(encoding="utf-8"))
    ours |= {key: real[key] for key in ("format", "filters", "language") if key in real}
    ours["project"] |= {key: real["project"][key] for key in ("post-render",) if key in real["project"]}
    (root / "_quarto.yml").write_text(yaml.safe_dump(ours, sort_keys=False), encoding="utf-8")
    book = read_book(root)
    stamp(book)
    build_quarto(book)
    return book


def test_the_fixture_has_every_construct(fixture_book: Book) -> None:
    found = [content(chapter) for chapter in fixture_book.chapters]
    assert {key.partition("-")[0] for item in found for key in item.labels} == {"fig", "tbl", "eq"}
    assert {key.partition("-")[0] for item in found for key in item.references} == {"fig", "tbl", "eq", "sec"}
    assert {kind for item in found for kind in item.callouts} >= {"note", "warning", "tip", "important"}
    assert all(sum(len(getattr(item, name)) for item in found) for name in ("citations", "captions", "alternatives"))
    assert sum(item.formulas for item in found) >= 8
    assert sum(item.tables for item in found) == 3


def test_pages_hold_what_the_chapters_promise(built: Book) -> None:
    assert inspect_html(built, built.root / "_book") == []


def test_the_pdf_holds_what_the_chapters_promise(built: Book) -> None:
    assert inspect_pdf(built, built.root / "_book" / f"{built.stem}.pdf") == []


def test_the_word_file_holds_what_the_chapters_promise(built: Book) -> None:
    assert inspect_word(built, built.root / "_book" / f"{built.stem}.docx") == []


def test_the_page_says_who_made_it(built: Book, request: pytest.FixtureRequest) -> None:
    page = (built.root / "_book/index.html").read_text(encoding="utf-8")
    assert re.search(r'<meta name="generator" content="(quarto|Set by codelab)', page)
    text = PdfReader(built.root / "_book" / f"{built.stem}.pdf").pages[0].extract_text()
    assert re.search(r"(Quarto|Pandoc [\d.]+), Typst", text)


def test_links_inside_the_book_lead_somewhere(built: Book) -> None:
    output = built.root / "_book"
    pages = {path: path.read_text(encoding="utf-8") for path in output.rglob("*.html")}
    for path, text in pages.items():
        for address in re.findall(r'<a\b[^>]*\bhref="([^":]+)"', text):
            name, _, anchor = address.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.exists(), f"{path.name} links to {address}"
            if anchor and target in pages:
                assert f'id="{anchor}"' in pages[target], f"{path.name} links to {address}"


def test_records_lie_beside_the_pages(built: Book) -> None:
    assert (built.root / "_book/results/q0-fixture/20261101T000000Z-cpu/record.json").is_file()


def test_figures_stay_vectors(built: Book) -> None:
    page = (built.root / "_book/chapters/02-numbers.html").read_text(encoding="utf-8")
    assert re.search(r'<img\b[^>]*\bsrc="[^"]+\.svg"', page)
    reader = PdfReader(built.root / "_book" / f"{built.stem}.pdf")
    assert not [image for page in reader.pages for image in page.images]


def test_code_is_whole_in_the_pdf(built: Book) -> None:
    text = "".join(page.extract_text() for page in PdfReader(built.root / "_book" / f"{built.stem}.pdf").pages)
    assert "surely" in text, "the end of the longest line"


def test_every_page_can_be_edited_where_the_repository_has_an_address(built: Book, fixture_book: Book) -> None:
    for chapter in built.chapters:
        page = (built.root / "_book" / chapter.page).read_text(encoding="utf-8")
        assert f'href="{REPOSITORY_ADDRESS}/edit/trunk/{chapter.path}"' in page, chapter.path
    assert fixture_book.repository == ""


def test_provenance_is_on_the_page(built: Book) -> None:
    page = (built.root / "_book/chapters/02-numbers.html").read_text(encoding="utf-8")
    assert "commit <code>2222222222</code>" in page
    assert "A processor" in page


def test_the_source_of_a_figure_is_set_as_a_note(built: Book) -> None:
    sizes = {}
    for page in PdfReader(built.root / "_book" / f"{built.stem}.pdf").pages:
        page.extract_text(
            visitor_text=lambda text, _, matrix, __, size: sizes.setdefault(text.strip(), size * matrix[0])
        )
    found = {round(size, 1) for text, size in sizes.items() if text.startswith("Record")}
    assert found == {9.0}, sizes


def test_a_measured_figure_floats_with_its_source(built: Book) -> None:
    pages = [
        page.extract_text(extraction_mode="layout")
        for page in PdfReader(built.root / "_book" / f"{built.stem}.pdf").pages
    ]
    lines = next(text for text in pages if "Speed of each" in text and "The rate is" in text).splitlines()
    text, caption, after = (
        next(at for at, line in enumerate(lines) if start in line)
        for start in ("The rate is", "Speed of each", "printed 2")
    )
    assert caption < text or caption > after, "at the top or foot of the page, not in the text"
    assert next(line for line in lines[caption + 1 :] if line.strip()).strip().startswith("Record"), "with its source"


def test_the_source_of_a_figure_or_table_has_a_style_in_word(built: Book) -> None:
    document = Document(str(built.root / "_book" / f"{built.stem}.docx"))
    lines = [paragraph for paragraph in document.paragraphs if paragraph.text.startswith("Record")]
    styles = [line.style.name for line in lines if line.style is not None]
    assert styles == ["Source Note"] * 3
    size = document.styles["Source Note"].font.size
    assert size is not None
    assert size < document.styles["Table Caption"].font.size, "smaller than a caption"


def test_rows_of_word_tables_stay_whole(built: Book) -> None:
    document = Document(str(built.root / "_book" / f"{built.stem}.docx"))
    style = document.styles["Table"].element
    assert style.xpath("./w:trPr/w:cantSplit")
    assert style.xpath("./w:tblStylePr[@w:type='firstRow']/w:pPr/w:keepNext"), "the head stays with the first row"
