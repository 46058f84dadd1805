"""The book as one PDF, in the same Typst template that Quarto uses (``assets/typst`` of the book).

Not covered: anything that the template decides, such as fonts, running heads and contents.
"""

import json
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import panflute as pf
import pypandoc
import typst

from codelab.book.project import Book
from codelab.book.render.document import build
from codelab.book.render.model import Page, Writer, picture_file
from codelab.book.render.number import KINDS
from codelab.book.render.pandoc import convert, parts, walk, without_file_links
from codelab.book.render.source import is_source
from codelab.errors import UserError

TEMPLATE = "assets/typst/typst-template.typ"


class TypstWriter(Writer):
    """Typst: numbers of headings, figures and tables are the template's own."""

    extension = "typ"

    def __init__(self, book: Book) -> None:
        self.book = book

    def callout(self, kind: str, title: list[Any], body: list[Any], folded: bool) -> list[Any]:
        """A call of the template's function, with Pandoc's blocks inside."""
        return [_raw("#callout(title: ["), pf.Plain(*title), _raw("], body: ["), *body, _raw("])")]

    def equation(self, identifier: str, number: str, math: Any) -> list[Any]:
        """The formula with its number at the margin and its label."""
        scope = f'#[#set math.equation(numbering: _ => "({number})")\n'
        return [pf.RawInline(scope, format="typst"), math, pf.RawInline(f" <{identifier}>]", format="typst")]

    def picture(self, page: Page, address: str) -> str:
        """A path from the book's folder, where Typst has its root."""
        return "/" + picture_file(page, address).relative_to(self.book.root).as_posix()

    def target(self, identifier: str, page: Page, there: Page) -> str:
        """Everything is in one document."""
        return f"#{identifier}"

    def finish(self, element: Any, notes: list[Any]) -> Any:
        """Pandoc writes no alternative text for Typst, and Typst would count figures without caption."""
        if isinstance(element, pf.Table):
            # Pandoc makes every table a figure; the one around it has caption, number and note.
            inner = [_raw("#[#set figure(numbering: none)"), element, _raw("]")]
            if not element.identifier:
                return inner
            caption, identifier = list(element.caption.content), element.identifier
            element.caption, element.identifier = pf.Caption(), ""
            opening = _raw(f"#figure({_kind('tbl')}, caption: [")
            below = [_raw("#align(left, text(size: 0.82em)["), *notes, _raw("])")] if notes else []
            return [opening, *caption, _raw("], ["), *inner, *below, _raw(f"]) <{identifier}>")]
        image = next((part for part in parts(element) if isinstance(part, pf.Image)), None)
        if image is None:
            return None
        width = f", width: {image.attributes['width']}" if image.attributes.get("width", "").endswith("%") else ""
        alternative = json.dumps(image.attributes.get("alt", ""), ensure_ascii=False)
        opening = f"#figure(image({json.dumps(image.url)}{width}, alt: {alternative}), {_kind('fig')}, caption: ["
        return [_raw(opening), *element.caption.content, _raw(f"]) <{element.identifier}>")]


def write_pdf(book: Book, target: Path) -> None:
    """Render the book to one PDF file.

    Raises:
        UserError: a chapter cannot be rendered, or Typst refuses.
    """
    if not (book.root / TEMPLATE).exists():
        raise UserError(f"{book.root / TEMPLATE}: the PDF's template is missing")
    pages = build(book, TypstWriter(book))
    blocks: list[Any] = []
    part, appendix = "", False
    for page in pages:
        chapter = page.chapter
        if chapter.appendix and not appendix:
            appendix = True
            blocks.append(_raw("#show: appendices.with([Appendices])\n#part([Appendices])"))
        if chapter.part and chapter.part != part and not chapter.part.endswith(".qmd"):
            blocks.append(_raw(f"#part([{chapter.part}])"))
        part = chapter.part
        classes = [] if chapter.number else ["unnumbered"]
        blocks.append(pf.Header(*page.title, level=1, identifier=chapter.identifier, classes=classes))
        blocks += without_file_links(_floating(page.blocks))
    body = convert(blocks, "typst-citations", "--syntax-highlighting=idiomatic")
    try:
        source = (_head(book) + body).encode()
        compiled: bytes = typst.compile(source, root=str(book.root), ignore_system_fonts=True)  # type: ignore[type-var]
    except typst.TypstError as error:
        raise UserError(f"Typst: {error}") from error
    target.write_bytes(compiled)


def _head(book: Book) -> str:
    words = book.settings.get("language") or {}
    when = date.fromisoformat(book.of("date")) if book.of("date") else None
    day = f"{when.day} {when:%B %Y}" if when else ""
    text = {key: json.dumps(book.of(key), ensure_ascii=False) for key in ("title", "subtitle", "author", "description")}
    made_by = f"Pandoc {pypandoc.get_pandoc_version()}, Typst {version('typst')}"
    return f"""#import "/{TEMPLATE}": *
#let horizontalrule = line(start: (25%, 0%), end: (75%, 0%), stroke: 0.5pt)
#show figure.where(kind: table): set block(breakable: true)
#show figure.where(kind: "quarto-float-tbl"): set figure.caption(position: top)
#show figure.caption.where(kind: "quarto-float-tbl"): set block(sticky: true)
#set page(paper: "us-letter", margin: (x: 1.25in, top: 1.15in, bottom: 1.1in), numbering: "1")
#show: paper.with(
  title: {text["title"]}, subtitle: {text["subtitle"]}, author: {text["author"]}, description: {text["description"]},
  date: "{day}", lang: "{book.language}", chapter-name: [{words.get("crossref-ch-prefix", "Chapter")}],
  made-by: [{made_by}],
)
"""


def _floating(blocks: list[Any]) -> list[Any]:
    """Each measured figure and the line after it, which names its record, inside a call of the template's function.

    Outputs lose the box around them: out of a box, nothing floats to the top or foot of the page.
    """
    result: list[Any] = []
    for block in blocks:
        if result and is_source(block) and any(_opens_figure(part) for part in parts(result[-1])):
            result[-1:] = [_raw("#floating["), result[-1], block, _raw("]")]
        else:
            result.append(block)
    return walk(result, _unboxed)


def _unboxed(element: Any) -> Any:
    return list(element.content) if isinstance(element, pf.Div) and "cell-output" in element.classes else None


def _opens_figure(part: Any) -> bool:
    return isinstance(part, pf.RawBlock) and part.text.startswith("#figure(image(")


def _kind(name: str) -> str:
    """The kinds that Quarto gives to captioned figures and tables: the template places them."""
    return f'kind: "quarto-float-{name}", supplement: [{KINDS[name]}]'


def _raw(text: str) -> Any:
    return pf.RawBlock(text, format="typst")
