"""Numbers of one chapter: sections, figures, tables and equations, and the blocks that a format writes in its own way.

Not covered: references to the numbers, which need all chapters (``document`` of this package).
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import panflute as pf

from codelab.book.render.model import Page, Target, Writer
from codelab.book.render.pandoc import inlines, parts, walk
from codelab.errors import UserError

KINDS = {"sec": "Section", "fig": "Figure", "tbl": "Table", "eq": "Equation"}
CALLOUTS = ("note", "tip", "warning", "important", "caution")
_EQUATION = re.compile(r"\{#(eq-[\w-]+)\}(.*)", re.DOTALL)
NBSP = "\N{NO-BREAK SPACE}"


def number(page: Page, writer: Writer, targets: dict[str, Target]) -> None:
    """Number what a page holds and put each id among the targets.

    Raises:
        UserError: an id is used twice, or a cell with a table's caption shows none.
    """
    chapter, counters = page.chapter, [0, 0, 0, 0, 0, 0]
    if chapter.identifier:
        targets[chapter.identifier] = (chapter.label, page)

    def count(kind: str, identifier: str) -> str:
        page.counts[kind] = page.counts.get(kind, 0) + 1
        number = ".".join(filter(None, [chapter.number, str(page.counts[kind])]))
        if identifier in targets:
            raise UserError(f"{chapter.path}: id {identifier!r} is used twice")
        targets[identifier] = (f"{KINDS[kind]}{NBSP}{number}", page)
        return number

    def label(kind: str, identifier: str) -> list[Any]:
        return writer.label(f"{KINDS[kind]}{NBSP}{count(kind, identifier)}")

    def action(element: Any) -> Any:
        if isinstance(element, pf.Header):
            return heading(element)
        if isinstance(element, pf.Image):
            element.url = writer.picture(page, element.url)
            if alternative := element.attributes.pop("fig-alt", None):
                element.content = [pf.Str(alternative)]
                element.attributes["alt"] = alternative
        elif isinstance(element, pf.Figure) and element.identifier.startswith("fig-"):
            _prepend(element.caption, label("fig", element.identifier))
            return writer.finish(element, [])
        elif isinstance(element, pf.Table):
            if element.identifier.startswith("tbl-"):
                _prepend(element.caption, label("tbl", element.identifier))
            return writer.finish(element, page.notes.get(element.identifier, []))
        elif isinstance(element, pf.Para | pf.Plain):
            return _equations(element, count, writer)
        elif isinstance(element, pf.Div):
            return division(element)
        return None

    def heading(element: Any) -> Any:
        if "callout-title" in element.classes:
            return None
        if element.level == 1:
            page.title = list(element.content)
            return []
        number = ""
        if "unnumbered" not in element.classes and chapter.number:
            counters[element.level - 2] += 1
            counters[element.level - 1 :] = [0] * (len(counters) - element.level + 1)
            number = ".".join([chapter.number, *map(str, counters[: element.level - 1])])
        targets[element.identifier] = (f"Section{NBSP}{number}" if number else pf.stringify(element), page)
        if element.level == 2:
            page.sections.append((element.identifier, number, pf.stringify(element)))
        if number:
            element.content = [*writer.section(number), *element.content]
        return element

    def division(element: Any) -> Any:
        kind = next((name for name in CALLOUTS if f"callout-{name}" in element.classes), None)
        if kind:
            title, body = _callout_title(element, kind)
            return writer.callout(kind, title, body, element.attributes.get("collapse") == "true")
        if "cell" in element.classes:
            element.identifier = ""
            element.attributes.clear()
            return writer.cell(
                [part for child in element.content for part in (writer.fold(child) if _is_code(child) else [child])]
            )
        return None

    page.blocks = walk(walk(page.blocks, partial(_prepare, page)), action)


def _prepare(page: Page, element: Any) -> None:
    """Mark what a walk from the leaves up would otherwise meet too early: titles of callouts, captions of cells."""
    if not isinstance(element, pf.Div):
        return
    first = element.content[0] if len(element.content) else None
    if isinstance(first, pf.Header) and any(f"callout-{name}" in element.classes for name in CALLOUTS):
        first.classes.append("callout-title")
    if caption := element.attributes.pop("tbl-cap", None):
        table = next((part for part in parts(element) if isinstance(part, pf.Table)), None)
        if table is None:
            raise UserError(f"{page.chapter.path}: cell {element.identifier} has a table caption but shows no table")
        table.caption = pf.Caption(pf.Plain(*inlines(caption)))
        table.identifier, element.identifier = element.identifier, ""
        below = list(table.parent.content)[table.index + 1 :]
        page.notes[table.identifier] = below
        table.parent.content = list(table.parent.content)[: table.index + 1]


def _is_code(element: Any) -> bool:
    return isinstance(element, pf.CodeBlock) and "cell-code" in element.classes


def _prepend(caption: Any, inlines: list[Any]) -> None:
    old = caption.content
    first = list(old[0].content) if len(old) else []
    caption.content = [pf.Plain(*inlines, *first), *list(old)[1:]]


def _callout_title(element: Any, kind: str) -> tuple[list[Any], list[Any]]:
    body = list(element.content)
    if body and isinstance(body[0], pf.Header):
        return list(body[0].content), body[1:]
    title = element.attributes.get("title")
    return (inlines(title) if title else [pf.Str(kind.capitalize())]), body


def _equations(element: Any, count: Callable[[str, str], str], writer: Writer) -> Any:
    out: list[Any] = []
    changed = False
    for part in element.content:
        match = _EQUATION.fullmatch(part.text) if isinstance(part, pf.Str) else None
        if match and any(isinstance(before, pf.Math) for before in out[-2:]):
            while not isinstance(out[-1], pf.Math):
                out.pop()
            math = out.pop()
            out += writer.equation(match[1], count("eq", match[1]), math)
            out += [pf.Str(match[2])] if match[2] else []
            changed = True
        else:
            out.append(part)
    return type(element)(*out) if changed else None
