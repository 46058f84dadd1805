"""The book, or an extract of it, as a Word file with the styles of ``assets/word/reference.docx``.

Not covered: what the styles look like (``assets/word/make_reference.py``).
"""

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import panflute as pf
import pypandoc

from codelab.book.project import Book
from codelab.book.render.document import build
from codelab.book.render.model import Page, Writer, picture_file
from codelab.book.render.pandoc import dump, walk, without_file_links
from codelab.book.render.source import is_source
from codelab.errors import UserError

STYLES = "assets/word/reference.docx"
# A paragraph that begins a page: a break in a paragraph of its own leaves an empty page after one that is full.
_PAGE_BREAK = (
    '<w:p><w:pPr><w:pageBreakBefore/><w:spacing w:before="0" w:after="0" w:line="20" w:lineRule="exact"/></w:pPr></w:p>'
)


class WordWriter(Writer):
    """Word: numbers are text; figures are the PNG that lies beside each vector."""

    extension = "docx"

    def callout(self, kind: str, title: list[Any], body: list[Any], folded: bool) -> list[Any]:
        """Paragraphs of the style "Callout", the title in bold."""
        return [_styled("Callout", pf.Para(pf.Strong(*title)), *body)]

    def equation(self, identifier: str, number: str, math: Any) -> list[Any]:
        """The formula with its number after it, as Word's own editor would hold it."""
        math.text = rf"{math.text.strip()}\qquad({number})"
        return [pf.Span(math, identifier=identifier)]

    def picture(self, page: Page, address: str) -> str:
        """The file, from the book's folder; of a vector, the PNG beside it.

        Raises:
            UserError: there is no such PNG.
        """
        path = picture_file(page, address)
        drawn = path.with_suffix(".png")
        if path.suffix == ".svg" and not drawn.is_file():
            raise UserError(f"{page.chapter.path}: Word needs {drawn.name} beside {path.name}; run `codelab figures`")
        # Pandoc writes the address into the file: a whole path would tell where the book was made.
        return (drawn if path.suffix == ".svg" else path).relative_to(page.chapter.root).as_posix()

    def target(self, identifier: str, page: Page, there: Page) -> str:
        """Everything is in one document."""
        return f"#{identifier}"

    def section(self, number: str) -> list[Any]:
        """The number before the title."""
        return [pf.Str(number), pf.Space()]

    def label(self, text: str) -> list[Any]:
        """``Figure 1.1:`` before the caption."""
        return [pf.Str(f"{text}:"), pf.Space()]

    def finish(self, element: Any, notes: list[Any]) -> Any:
        """Caption and content as paragraphs of their own styles, under one anchor."""
        caption = pf.Para(*(list(element.caption.content[0].content) if element.caption.content else []))
        if isinstance(element, pf.Figure):
            shown = [_styled("Captioned Figure", *(pf.Para(*block.content) for block in element.content))]
            return pf.Div(*shown, _styled("Image Caption", caption), identifier=element.identifier)
        identifier, element.identifier, element.caption = element.identifier, "", pf.Caption()
        heading = [_styled("Table Caption", caption)] if identifier else []
        return pf.Div(*heading, element, *notes, identifier=identifier)


def write_word(book: Book, target: Path) -> None:
    """Write the Word file; the same book gives the same bytes.

    Raises:
        UserError: a chapter cannot be rendered, or the styles are missing.
    """
    styles = book.root / STYLES
    if not styles.exists():
        raise UserError(f"{styles}: the styles of the Word file are missing")
    blocks: list[Any] = []
    for page in build(book, WordWriter()):
        if blocks:
            blocks.append(pf.RawBlock(_PAGE_BREAK, format="openxml"))
        number = [pf.Str(f"{page.chapter.label}."), pf.Space()] if page.chapter.number else []
        blocks.append(pf.Header(*number, *page.title, level=1, identifier=page.chapter.identifier))
        blocks += walk(without_file_links(page.blocks), _as_note)
    when = date.fromisoformat(book.of("date")) if book.of("date") else date(2000, 1, 1)
    facts = {key: pf.MetaString(text) for key in ("title", "subtitle", "author") if (text := book.of(key))}
    document = pf.Doc(*blocks, metadata={**facts, "lang": pf.MetaString(book.language)})
    if book.of("date"):
        document.metadata["date"] = pf.MetaString(f"{when.day} {when:%B %Y}")
    before = os.environ.get("SOURCE_DATE_EPOCH")
    # Pandoc writes this time into the file, and else the time of day.
    os.environ["SOURCE_DATE_EPOCH"] = str(int(datetime(when.year, when.month, when.day, tzinfo=UTC).timestamp()))
    try:
        options = [f"--reference-doc={styles}", "--fail-if-warnings", f"--resource-path={book.root}"]
        pypandoc.convert_text(dump(document), "docx", "json", extra_args=options, outputfile=str(target))
    except RuntimeError as error:
        raise UserError(f"Pandoc: {error}") from error
    finally:
        if before is None:
            del os.environ["SOURCE_DATE_EPOCH"]
        else:
            os.environ["SOURCE_DATE_EPOCH"] = before


def _as_note(element: Any) -> Any:
    """The line that names a record, and the code in it, in styles of their own."""
    if not is_source(element):
        return None

    def code(part: Any, _document: Any) -> Any:
        if isinstance(part, pf.Code):
            return pf.Span(pf.Str(part.text), attributes={"custom-style": "Verbatim Note"})
        return None

    return _styled("Source Note", element.walk(code))


def _styled(name: str, *blocks: Any) -> Any:
    return pf.Div(*blocks, attributes={"custom-style": name})
