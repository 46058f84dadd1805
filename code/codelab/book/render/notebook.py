"""The prose of a chapter as Markdown cells: numbers, references and citations resolved, cells marked by their place.

Jupyter, VS Code and Colab read the same plain Markdown: formulas between dollars, pipe tables, pictures as attachments,
callouts as quotations. Not covered: the code of the cells and their outputs (``codelab.book.notebook``).
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import panflute as pf

from codelab.book.project import Book
from codelab.book.render.document import build, citation_keys
from codelab.book.render.model import Page, Writer, picture_file, relative
from codelab.book.render.pandoc import convert, parts, walk
from codelab.errors import UserError

_CELL = "code-cell"
_MARKDOWN = "gfm+tex_math_dollars-tex_math_gfm"


@dataclass
class Prose:
    """A chapter between its cells.

    Args:
        title: the chapter's title as Markdown.
        pieces: Markdown before the first visible cell, between cells, and after the last one: one more than cells.
        pictures: files that the Markdown shows, by the name of their attachment.
    """

    title: str
    pieces: list[str]
    pictures: dict[str, Path] = field(default_factory=dict)


class NotebookWriter(Writer):
    """Markdown for notebooks; captions are paragraphs, since a notebook has none."""

    extension = "html"

    def callout(self, kind: str, title: list[Any], body: list[Any], folded: bool) -> list[Any]:
        """A quotation with its title in bold."""
        return [pf.BlockQuote(pf.Para(pf.Strong(*title)), *body)]

    def equation(self, identifier: str, number: str, math: Any) -> list[Any]:
        """The formula with its number as MathJax and KaTeX set it."""
        math.text = rf"{math.text.strip()} \tag{{{number}}}"
        return [math]

    def picture(self, page: Page, address: str) -> str:
        """Pictures travel in the notebook: drawn as PNG, which every program shows."""
        path = picture_file(page, address)
        drawn = path.with_suffix(".png")
        path = drawn if path.suffix == ".svg" and drawn.is_file() else path
        page.pictures[path.name] = path
        return f"attachment:{path.name}"

    def target(self, identifier: str, page: Page, there: Page) -> str:
        """References are text in a notebook."""
        return ""

    def section(self, number: str) -> list[Any]:
        """The number before the title."""
        return [pf.Str(number), pf.Space()]

    def label(self, text: str) -> list[Any]:
        """``Figure 7.1.`` before the caption."""
        return [pf.Strong(pf.Str(f"{text}.")), pf.Space()]

    def fold(self, code: Any) -> list[Any]:
        """The code comes from the chapter itself."""
        return []

    def cell(self, blocks: list[Any]) -> list[Any]:
        """A mark in the cell's place, its table's caption before it and its figure's after it; outputs are left out."""
        found = [part for block in blocks for part in parts(block) if isinstance(part, pf.Div)]
        above = [part for part in found if "tbl-caption" in part.classes]
        below = [part for part in found if "fig-caption" in part.classes]
        return [*above, pf.Div(classes=[_CELL]), *below]

    def finish(self, element: Any, notes: list[Any]) -> Any:
        """Content and caption as blocks of their own."""
        kind = "fig" if isinstance(element, pf.Figure) else "tbl"
        caption = [pf.Para(*block.content) for block in element.caption.content]
        element.caption = pf.Caption()
        said = [pf.Div(*caption, classes=[f"{kind}-caption"])] if caption else []
        if kind == "fig":
            return pf.Div(*(pf.Para(*block.content) for block in element.content), *said)
        element.identifier = ""
        return pf.Div(*said, element, *notes)


def prose(book: Book) -> dict[str, Prose]:
    """The prose of every chapter that ``submission: notebooks:`` lists, by the chapter's path.

    Raises:
        UserError: a chapter cannot be rendered.
    """
    pages = build(book, NotebookWriter())
    wanted = {chapter.path for chapter in book.questions("notebooks")}
    references = {
        entry.identifier: _markdown(book, page, [entry])
        for page in pages
        for block in page.blocks
        if _is_references(block)
        for entry in block.content
    }
    return {page.chapter.path: _prose(book, page, references) for page in pages if page.chapter.path in wanted}


def _prose(book: Book, page: Page, references: dict[str, str]) -> Prose:
    groups: list[list[Any]] = [[]]
    keys = citation_keys(page)
    for block in page.blocks:
        if isinstance(block, pf.Div) and _CELL in block.classes:
            groups.append([])
        elif not _is_references(block):
            groups[-1].append(block)
    hidden = [part for group in groups for block in group for part in parts(block) if _marks_cell(part)]
    if hidden:
        raise UserError(f"{page.chapter.path}: a cell stands inside another block; a notebook cannot hold it there")
    title = _markdown(book, page, [pf.Plain(*page.title)])
    pieces = [_markdown(book, page, group) for group in groups]
    if keys:
        cited = [text for name, text in references.items() if name.removeprefix("ref-") in keys]
        pieces[-1] = "\n\n".join(filter(None, [pieces[-1], "## References", *cited]))
    return Prose(title, pieces, dict(page.pictures))


def _markdown(book: Book, page: Page, blocks: list[Any]) -> str:
    def action(element: Any) -> Any:
        if isinstance(element, pf.Div | pf.Span | pf.Cite):
            return list(element.content)
        if isinstance(element, pf.Note):
            inner = [part for block in element.content for part in getattr(block, "content", [])]
            return [pf.Space(), pf.Str("("), *inner, pf.Str(")")]
        if isinstance(element, pf.Link):
            address = _address(book, page, element.url)
            return pf.Link(*element.content, url=address) if address else list(element.content)
        if isinstance(element, pf.Image | pf.CodeBlock):
            element.attributes.clear()
            element.identifier = ""
        return None

    text = convert(walk(blocks, action), _MARKDOWN) if blocks else ""
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _address(book: Book, page: Page, url: str) -> str:
    """Where a link leads from a notebook: the web, or a file of the repository; nothing for places in the book."""
    if "://" in url:
        return url
    path, _, _ = url.partition("#")
    file = ((page.chapter.root / page.chapter.path).parent / path).resolve()
    if not path or path.endswith(".qmd") or not file.is_file():
        return ""
    inside = file.relative_to(book.root.resolve()).as_posix()
    return f"{book.repository}/blob/{book.branch}/{inside}" if book.repository else relative(inside, "submission/n")


def _is_references(block: Any) -> bool:
    return isinstance(block, pf.Div) and block.identifier == "refs"


def _marks_cell(part: Any) -> bool:
    return isinstance(part, pf.Div) and _CELL in part.classes
