"""The whole book as Pandoc documents, one a chapter: numbered, references and citations resolved.

What it understands is what the chapters may use: headings, figures and tables with ids, numbered equations, callouts,
cells and their outputs. Not covered: sub-figures, tabsets, includes, conditional content.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import panflute as pf

from codelab.book.project import Book
from codelab.book.render.model import Page, Target, Writer
from codelab.book.render.number import KINDS, number
from codelab.book.render.pandoc import dump, load, pandoc, parts, read, walk
from codelab.errors import UserError

_REFERENCE = re.compile(rf"(?:{'|'.join(KINDS)})-")


@dataclass
class _Links:
    """Where references lead, which chapters are written (the others are named, not linked), and what leads nowhere."""

    targets: dict[str, Target]
    inside: set[str]
    broken: list[str] = field(default_factory=list)


def build(book: Book, writer: Writer) -> list[Page]:
    """Parse, number, resolve and cite all chapters; of an extract, only its own are returned.

    An extract keeps the numbers of the whole book; references to chapters outside it stay as text, and its list of
    references holds what it cites.

    Raises:
        UserError: a chapter is not frozen, or a reference or citation leads nowhere.
    """
    header = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
    whole = (book.whole or book).chapters
    texts = [header.sub("", chapter.frozen(writer.extension)) for chapter in whole]
    with ThreadPoolExecutor() as pool:
        pages = [Page(*pair) for pair in zip(whole, pool.map(read, texts), strict=True)]
    targets: dict[str, Target] = {}
    for page in pages:
        number(page, writer, targets)
    links = _Links(targets, {chapter.path for chapter in book.chapters})
    for page in pages:
        page.blocks = walk(page.blocks, partial(_resolve, page, writer, links))
    if links.broken:
        raise UserError(f"cross-references that lead nowhere: {'; '.join(links.broken)}")
    cited = _cite(book, pages)
    return cited if book.whole is None else _only(book, cited)


def _only(book: Book, pages: list[Page]) -> list[Page]:
    """The pages of an extract, and of the references those that it cites."""
    kept = [page for page in pages if page.chapter in book.chapters]
    wanted = {f"ref-{key}" for page in kept for key in citation_keys(page)}
    for block in (block for page in kept for block in page.blocks):
        if isinstance(block, pf.Div) and block.identifier == "refs":
            block.content = [entry for entry in block.content if entry.identifier in wanted]
    return kept


def citation_keys(page: Page) -> set[str]:
    """Keys of everything that a page cites."""
    cites = [part for block in page.blocks for part in parts(block) if isinstance(part, pf.Cite)]
    return {citation.id for cite in cites for citation in cite.citations}


def _resolve(page: Page, writer: Writer, known: _Links, element: Any) -> Any:
    if not isinstance(element, pf.Cite):
        return None
    ours = [citation.id for citation in element.citations if _REFERENCE.match(citation.id)]
    if not ours:
        return None
    links: list[Any] = []
    for name in ours:
        if name not in known.targets:
            known.broken.append(f"@{name} in {page.chapter.path}")
            continue
        text, there = known.targets[name]
        links += [pf.Str(","), pf.Space()] if links else []
        shown = pf.Str(text)
        linked = there.chapter.path in known.inside
        links.append(pf.Link(shown, url=writer.target(name, page, there), classes=["xref"]) if linked else shown)
    # Pandoc reads `@eq-a [@paper]` as one citation of two things.
    others = [citation for citation in element.citations if citation.id not in ours]
    return [*links, pf.Space(), pf.Cite(citations=others)] if others else links


def _cite(book: Book, pages: list[Page]) -> list[Page]:
    """One citeproc run over the book, so that "2020a" and "2020b" mean the same everywhere."""
    blocks = [pf.Div(*page.blocks, attributes={"page": str(index)}) for index, page in enumerate(pages)]
    entries = book.bibliography.read_text(encoding="utf-8") if book.bibliography.exists() else ""
    known = set(re.findall(r"^@\w+\{\s*([^,\s]+)", entries, re.MULTILINE))
    cites = [part for block in blocks for part in parts(block) if isinstance(part, pf.Cite)]
    unknown = {f"@{citation.id}" for cite in cites for citation in cite.citations} - {f"@{key}" for key in known}
    if unknown:
        raise UserError(f"citations without an entry in {book.bibliography.name}: {', '.join(sorted(unknown))}")
    filters = [name for name in book.settings.get("filters") or [] if str(name).endswith(".lua")]
    options = [*(f"--lua-filter={book.root / name}" for name in filters), "--citeproc"]
    source = pf.Doc(*blocks, metadata={"link-citations": True, "lang": book.language})
    source.metadata["bibliography"] = pf.MetaString(str(book.bibliography))
    last = pages[-1]
    for element in load(pandoc(dump(source), "json", "json", *options)):
        if "page" in element.attributes:
            last = pages[int(element.attributes["page"])]
            last.blocks = list(element.content)
        else:  # a book without a chapter for its references: they follow the last one
            last.blocks.append(element)
    return pages
