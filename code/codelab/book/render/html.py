"""The book as HTML pages that work from a folder: no server, nothing from another host, MathML for formulas.

Not covered: the look and the behaviour of a page, which lie in ``codelab/book/assets``.
"""

import html
import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from string import Template
from typing import Any

import panflute as pf
import pypandoc

from codelab.book.project import Book
from codelab.book.render.document import build
from codelab.book.render.model import Page, Writer, picture_file, relative
from codelab.book.render.pandoc import convert, plain
from codelab.book.style import ASSETS

_ANCHOR = r' <a class="anchor" href="#\3" aria-label="Link to this section">#</a>'


class HtmlWriter(Writer):
    """HTML: numbers are text, so that they are there without scripts or styles."""

    extension = "html"

    def callout(self, kind: str, title: list[Any], body: list[Any], folded: bool) -> list[Any]:
        """A box with a title, or a disclosure where the chapter asks for one."""
        if folded:
            head = [_raw(f'<details class="callout callout-{kind}"><summary>{html.escape(plain(title))}</summary>')]
            return [*head, *body, _raw("</details>")]
        heading = pf.Div(pf.Plain(*title), classes=["callout-title"])
        return [pf.Div(heading, *body, classes=["callout", f"callout-{kind}"], attributes={"role": "note"})]

    def equation(self, identifier: str, number: str, math: Any) -> list[Any]:
        """The formula in a row with its number."""
        tag = pf.Span(pf.Str(f"({number})"), classes=["equation-number"])
        return [pf.Span(math, tag, identifier=identifier, classes=["equation"])]

    def picture(self, page: Page, address: str) -> str:
        """Pictures lie in the output where they lie in the project, as Quarto puts them."""
        source = picture_file(page, address)
        page.pictures[os.path.normpath(Path(page.chapter.path).parent / address)] = source
        return address

    def target(self, identifier: str, page: Page, there: Page) -> str:
        """The id, on another page after that page's address."""
        own = identifier == there.chapter.identifier
        address = "" if there is page else relative(there.chapter.page, page.chapter.page)
        return address if own and address else f"{address}#{identifier}"

    def section(self, number: str) -> list[Any]:
        """The number, in a span of its own."""
        return [pf.Span(pf.Str(number), classes=["header-section-number"]), pf.Space()]

    def label(self, text: str) -> list[Any]:
        """``Figure 7.1:`` before the caption."""
        return [pf.Span(pf.Str(f"{text}:"), classes=["label"]), pf.Space()]

    def fold(self, code: Any) -> list[Any]:
        """Code stays out of sight until asked for."""
        return [_raw('<details class="fold"><summary>Code</summary>'), code, _raw("</details>")]

    def finish(self, element: Any, notes: list[Any]) -> Any:
        """Wide tables and figures scroll on their own, not with the page."""
        scroll = {"tabindex": "0", "role": "region", "aria-label": plain(_caption(element)) or "Table"}
        if isinstance(element, pf.Figure):
            element.content = [pf.Div(*element.content, classes=["wide"], attributes=scroll)]
            return element
        caption, identifier = element.caption, element.identifier
        element.caption, element.identifier = pf.Caption(), ""
        wide = pf.Div(element, classes=["wide"], attributes=scroll)
        below = [pf.Div(*notes, classes=["below"])] if notes else []
        return (
            pf.Figure(wide, *below, caption=caption, identifier=identifier, classes=["table"]) if identifier else wide
        )


def write_html(book: Book, output: Path) -> None:
    """Write every page, its pictures, the files that it links to, styles and the search index.

    Raises:
        UserError: a chapter cannot be rendered.
    """
    pages = build(book, HtmlWriter())
    home = next((page for page in pages if any(_has_references(block) for block in page.blocks)), pages[-1])
    template = Template((ASSETS / "page.html").read_text(encoding="utf-8"))
    with ThreadPoolExecutor() as pool:
        bodies = list(pool.map(lambda page: _body(page, home), pages))
    entries: list[tuple[str, str, str, str]] = []
    for place, (page, body) in enumerate(zip(pages, bodies, strict=True)):
        target = output / page.chapter.page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(template.substitute(_fields(book, pages, place, body)), encoding="utf-8")
        for address, source in page.pictures.items():
            _copy(source, output / address)
        for address in re.findall(r'href="(?!\w+:|#|/)([^"#?]+)', body):
            linked = Path(os.path.normpath(Path(page.chapter.path).parent / address))
            if linked.parts[0] != ".." and linked.suffix != ".html" and (book.root / linked).is_file():
                _copy(book.root / linked, output / linked)
        entries += _sections(page, body)
    (output / "assets").mkdir(exist_ok=True)
    for name in ("book.css", "book.js"):
        _copy(ASSETS / name, output / "assets" / name)
    index = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    (output / "assets" / "search.js").write_text(f"window.bookIndex = {index};\n", encoding="utf-8")


def _body(page: Page, home: Page) -> str:
    text = convert(page.blocks, "html5", "--mathml", "--syntax-highlighting=pygments", "--email-obfuscation=none")
    references = "" if page is home else relative(home.chapter.page, page.chapter.page)
    text = re.sub(r'href="#(ref-[^"]+)"', rf'href="{references}#\1"', text)
    text = re.sub(r'(href="(?!\w+:)[^"#]+)\.qmd(?=["#])', r"\1.html", text)
    return re.sub(r'(<h([23])[^>]*\bid="([^"]+)"[^>]*>.*?)(</h\2>)', rf"\1{_ANCHOR}\4", text, flags=re.DOTALL)


def _fields(book: Book, pages: list[Page], place: int, body: str) -> dict[str, str]:
    page = pages[place]
    chapter = page.chapter
    here = chapter.page
    title = convert([pf.Plain(*page.title)], "html5", "--mathml").strip()
    neighbours = {}
    for name, other in (("previous", place - 1), ("next", place + 1)):
        if 0 <= other < len(pages):
            arrow = ("←\N{NO-BREAK SPACE}{}", "{}\N{NO-BREAK SPACE}→")[name == "next"].format(_name(pages[other]))
            address = relative(pages[other].chapter.page, here)
            neighbours[name] = f'<a class="{name}" rel="{name[:4]}" href="{address}">{arrow}</a>'
    kinds = {"PDF": "pdf", "Word": "docx"}
    links = [f'<a href="{relative(f"{book.stem}.{suffix}", here)}">{what}</a>' for what, suffix in kinds.items()]
    front = ""
    if place == 0:
        line = " · ".join(html.escape(book.of(key)) for key in ("author", "date") if book.of(key))
        front = f'<p class="byline">{html.escape(book.of("subtitle"))}</p><p class="byline">{line}</p>'
        title = html.escape(book.title) if not chapter.number else title
    return {
        "lang": book.language,
        "description": html.escape(book.of("description"), quote=True),
        "author": html.escape(book.of("author"), quote=True),
        "made_by": f"Set by codelab's second renderer with Pandoc {pypandoc.get_pandoc_version()}, not by Quarto",
        "page_title": html.escape(plain(page.title)),
        "book_title": html.escape(book.title),
        "up": relative("", here),
        "navigation": _navigation(pages, place),
        "downloads": f"Download: {' · '.join(links)}",
        "kicker": f'<p class="kicker">{html.escape(chapter.label)}</p>' if chapter.number else "",
        "identifier": chapter.identifier or "top",
        "title": title,
        "front": front,
        "body": body,
        "edit": f' <a href="{book.repository}/edit/{book.branch}/{chapter.path}">Edit this page</a>'
        * bool(book.repository),
        "previous": neighbours.get("previous", ""),
        "next": neighbours.get("next", ""),
    }


def _navigation(pages: list[Page], place: int) -> str:
    out, part = [], None
    for number, page in enumerate(pages):
        chapter = page.chapter
        group = "Appendices" if chapter.appendix else chapter.part
        if group != part and group:
            out.append(f'<li class="part">{html.escape(group)}</li>')
        part = group
        current = ' aria-current="page"' if number == place else ""
        label = f'<span class="number">{chapter.number}</span>' if chapter.number else ""
        address = relative(chapter.page, pages[place].chapter.page)
        item = f'<a href="{address}"{current}>{label}<span>{html.escape(plain(page.title))}</span></a>'
        if number == place and page.sections:
            lines = "".join(f'<li><a href="#{key}">{html.escape(title)}</a></li>' for key, _, title in page.sections)
            item += f'<ul class="sections">{lines}</ul>'
        out.append(f"<li>{item}</li>")
    return f'<ol class="chapters">{"".join(out)}</ol>'


def _sections(page: Page, body: str) -> list[tuple[str, str, str, str]]:
    """The search index: address, anchor, heading and text of each section."""
    pieces = re.split(r'<h[23][^>]*\bid="([^"]+)"[^>]*>(.*?)</h[23]>', body, flags=re.DOTALL)
    found = [(page.chapter.page, "", _name(page), _text(pieces[0]))]
    for anchor, heading, text in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        found.append(
            (page.chapter.page, anchor, f"{_text(heading).removesuffix('#').strip()} – {_name(page)}", _text(text))
        )
    return found


def _text(markup: str) -> str:
    markup = re.sub(r"<annotation.*?</annotation>", " ", markup, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def _name(page: Page) -> str:
    return f"{page.chapter.number} {plain(page.title)}".strip()


def _caption(element: Any) -> list[Any]:
    blocks = list(element.caption.content) if element.caption else []
    return list(blocks[0].content) if blocks else []


def _has_references(block: Any) -> bool:
    return isinstance(block, pf.Div) and block.identifier == "refs"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _raw(text: str) -> Any:
    return pf.RawBlock(text, format="html")
