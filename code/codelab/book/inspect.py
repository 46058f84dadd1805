"""Looks at finished output, of either renderer, for what must be there and what must not.

What must be there is read from the chapters with regular expressions, apart from the code that renders. Not covered:
how it looks (people look), and whether it is right (the lints and the records see to that).
"""

import re
import unicodedata
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from codelab.book.project import Book, Chapter

KINDS = {"fig": "Figure", "tbl": "Table", "eq": "Equation"}
DEBRIS = {
    "unresolved reference": re.compile(r"\?@|@(?:fig|tbl|eq|sec)-[\w-]+"),
    "Markdown left over": re.compile(r":::|\{#(?:fig|tbl|eq|sec)-|\{python\}|\]\{\."),
    "escape left over": re.compile(r"\\xa0|\\u202f"),
    "traceback": re.compile(r"Traceback \(most recent call last\)|^\w*Error: ", re.MULTILINE),
    "warning": re.compile(r"\b[A-Z]\w+Warning:|\bWARNING\b|\[W\d+ "),
    "progress bar": re.compile(r"\d+%\|[\s█▏▎▍▌▋▊▉#]|\d(?:it|s)/(?:it|s)\]|━━━"),
}
_CODE = re.compile(r"^(```+|~~~+).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1", re.DOTALL)
_MATH = re.compile(r"\$\$.+?\$\$|(?<![\\$\w])\$(?=\S)[^$]*?\S\$(?!\d)", re.DOTALL)
_REFERENCE = re.compile(r"(?<![\w\\])@((?:fig|tbl|eq|sec)-[\w-]*\w)")
_CITATION = re.compile(r"(?<![\w\\.])@((?!(?:fig|tbl|eq|sec)-)[A-Za-z][\w:-]*\w)")
_IDENTIFIER = re.compile(r"\{[^{}]*?#((?:fig|tbl|eq)-[\w-]*\w)")
_LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "object": "data"}
_FOREIGN = re.compile(r"(?:@import\s+(?:url\()?|url\()\s*['\"]?(?:https?:)?//")
_ALTERNATIVE = re.compile(r"""fig-alt=(["'])(.*?)(?<!\\)\1""", re.DOTALL)


@dataclass
class Content:
    """What the reader of a chapter must find."""

    labels: dict[str, str] = field(default_factory=dict)  # id → "Figure 7.1"
    captions: dict[str, str] = field(default_factory=dict)  # id → Markdown
    alternatives: list[str] = field(default_factory=list)
    references: set[str] = field(default_factory=set)
    citations: set[str] = field(default_factory=set)
    callouts: list[str] = field(default_factory=list)
    formulas: int = 0
    tables: int = 0


def prose(text: str) -> str:
    """A chapter's text without header, code blocks and code spans."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return _SPAN.sub("`", _CODE.sub("", text))


def content(chapter: Chapter, extension: str = "html") -> Content:
    """Read what a chapter holds from its text, frozen where it has code.

    Raises:
        UserError: it is not frozen.
    """
    text = prose(chapter.frozen(extension))
    found, counts = Content(), dict.fromkeys(KINDS, 0)
    for match in _IDENTIFIER.finditer(text):
        identifier = match[1]
        kind = identifier.partition("-")[0]
        counts[kind] += 1
        found.labels[identifier] = f"{KINDS[kind]} {'.'.join(filter(None, [chapter.number, str(counts[kind])]))}"
    for caption, identifier in re.findall(r"^!\[(.*)\]\([^)]*\)\{[^}]*#(fig-[\w-]+)", text, re.MULTILINE):
        found.captions[identifier] = caption
    for caption, identifier in re.findall(r"^: (.*?)\s*\{#(tbl-[\w-]+)", text, re.MULTILINE):
        found.captions[identifier] = caption
    for identifier, _, caption in re.findall(r"""\{#(tbl-[\w-]+)[^\n]*tbl-cap=(["'])(.*?)(?<!\\)\2""", text):
        found.captions[identifier] = re.sub(r"\\(.)", r"\1", caption)
    found.alternatives = [re.sub(r"\\(.)", r"\1", match[1]) for match in _ALTERNATIVE.findall(text)]
    found.references = set(_REFERENCE.findall(text))
    found.citations = set(_CITATION.findall(text))
    found.callouts = re.findall(r"^:::+ *\{[^}]*\.callout-(\w+)", text, re.MULTILINE)
    found.formulas = len(_MATH.findall(text))
    found.tables = len(re.findall(r"^\|?[ :]*-{3,}[-:| ]*\|[-:| ]*$", text, re.MULTILINE))
    return found


class _Reader(HTMLParser):
    """Text, links, pictures, formulas and addresses of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.identifiers: set[str] = set()
        self.alternatives: list[str] = []
        self.bare: list[str] = []
        self.loads: list[str] = []
        self.classes: list[str] = []
        self.styles: list[str] = []
        self.tags: dict[str, int] = {}
        self._silent = 0
        self._code = 0
        self._address = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.classes.append(values.get("class", ""))
        self.identifiers.add(values.get("id", ""))
        self._silent += tag in ("script", "style", "annotation")
        self._code += tag in ("code", "kbd")
        if tag == "a":
            self._address = values.get("href", "")
            self.links.append((self._address, ""))
        if tag == "img":
            self.alternatives.append(values.get("alt", ""))
            self.bare += [] if values.get("alt") else [values.get("src", "")[:60]]
        if tag in _LOADING and values.get("rel") not in ("prev", "next", "canonical", "license"):
            self.loads.append(values.get(_LOADING[tag], ""))

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "annotation")
        self._code -= tag in ("code", "kbd")
        if tag == "a":
            self._address = ""
        if tag in ("p", "li", "td", "th", "figcaption", "div", "h1", "h2", "h3"):
            self.text.append("\n")

    def handle_data(self, data: str) -> None:
        if self._silent:
            self.styles.append(data)
            return
        # A reader sees code as code: `@key` in it is no debris, a traceback in it is.
        self.text.append(re.sub(r"[@{]|:::", "", data) if self._code else data)
        if self._address:
            self.links[-1] = (self._address, self.links[-1][1] + data)


def squash(text: str) -> str:
    """Text without spaces, hyphens and ligatures, so that line breaks do not matter."""
    return re.sub(r"[\s\u00ad\u200b\u2010-]+", "", unicodedata.normalize("NFKC", text)).casefold()


def pieces(markdown: str) -> list[str]:
    """The stretches of Markdown that come out as they are: no formulas, references, code, emphasis or quotes."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", _MATH.sub("\0", _SPAN.sub("\0", markdown)))
    parts = re.split(r"\0|\[?-?@[^\s\];]+[^\]]*\]?|[*_\"'’“”<>\\]|\.{3}|--|\[|\]", text)
    return [part.strip() for part in parts if len(part.strip()) > 3]


def debris(text: str, where: str) -> list[str]:
    """What a reader should never see."""
    return [f"{where}: {name}: {match[0]!r}" for name, pattern in DEBRIS.items() if (match := pattern.search(text))]


def inspect_html(book: Book, output: Path) -> list[str]:
    """Everything that is missing or wrong in the pages of a book."""
    faults: list[str] = []
    everything = {chapter.path: content(chapter) for chapter in book.chapters}
    labels, homes = _labels(book, everything), {item.identifier: Path(item.page).name for item in book.chapters}
    readers: dict[str, _Reader] = {}
    for chapter in book.chapters:
        path = output / chapter.page
        if not path.is_file():
            faults.append(f"{chapter.page}: missing")
            continue
        readers[chapter.path] = reader = _Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        faults += _page(chapter, everything[chapter.path], labels, homes, reader)
    known = set().union(*(reader.identifiers for reader in readers.values()))
    for name, found in everything.items():
        faults += [f"{name}: no entry for @{key}" for key in sorted(found.citations) if f"ref-{key}" not in known]
    for sheet in output.rglob("*.css"):
        if _FOREIGN.search(sheet.read_text(encoding="utf-8")):
            faults.append(f"{sheet.relative_to(output)}: loads from another host")
    return faults


def _page(
    chapter: Chapter, found: Content, labels: dict[str, str], homes: dict[str, str], reader: _Reader
) -> list[str]:
    where, text = chapter.page, "".join(reader.text)
    flat, links = squash(text), reader.links
    faults = debris(text, where)
    faults += [f"{where}: title: {piece!r} is missing" for piece in pieces(chapter.title) if squash(piece) not in flat]
    faults += _captions(where, found, flat)
    names = {squash(link) for _, link in links}
    for identifier in sorted(found.references):
        # On the first page Quarto names a chapter by its title: there the address decides.
        home = homes.get(identifier)
        if squash(labels.get(identifier, "\0")) not in names and not any(
            home and url.endswith(home) for url, _ in links
        ):
            faults.append(f"{where}: no link {labels.get(identifier)!r} for @{identifier}")
    for key in sorted(found.citations):
        if not any(address.endswith(f"#ref-{key}") for address, _ in links):
            faults.append(f"{where}: citation @{key} is no link")
    boxes = [name for name in reader.classes if re.search(r"\bcallout\b", name)]
    for kind in set(found.callouts):
        shown = sum(f"callout-{kind}" in name.split() for name in boxes)
        if shown != found.callouts.count(kind):
            faults.append(f"{where}: {found.callouts.count(kind)} callouts of kind {kind} expected, {shown} shown")
    if reader.tags.get("math", 0) < found.formulas:
        faults.append(f"{where}: {found.formulas} formulas expected, {reader.tags.get('math', 0)} in MathML")
    if reader.tags.get("table", 0) < found.tables:
        faults.append(f"{where}: {found.tables} tables expected, {reader.tags.get('table', 0)} shown")
    shown_alternatives = {squash(text) for text in reader.alternatives}
    faults += [
        f"{where}: no picture says {text!r}" for text in found.alternatives if squash(text) not in shown_alternatives
    ]
    faults += [f"{where}: picture {source} has no alternative text" for source in reader.bare]
    faults += [f"{where}: loads {url}" for url in reader.loads if re.match(r"(https?:)?//", url)]
    if any(_FOREIGN.search(style) for style in reader.styles):
        faults.append(f"{where}: a style loads from another host")
    return faults


def _captions(where: str, found: Content, flat: str) -> list[str]:
    faults = []
    for identifier, label in found.labels.items():
        if identifier.startswith("eq-"):
            if squash(f"({label.split()[1]})") not in flat:
                faults.append(f"{where}: number of @{identifier} is missing")
            continue
        start, *rest = pieces(found.captions.get(identifier, "")) or [""]
        if not re.search(re.escape(squash(label)) + r"[.:]?" + re.escape(squash(start)), flat):
            faults.append(f"{where}: caption of @{identifier} ({label}: {start!r}) is missing")
        faults += [
            f"{where}: caption of @{identifier}: {part!r} is missing" for part in rest if squash(part) not in flat
        ]
    return faults


def _labels(book: Book, everything: dict[str, Content]) -> dict[str, str]:
    labels = {chapter.identifier: chapter.label for chapter in book.chapters if chapter.identifier}
    for chapter in book.chapters:
        labels |= everything[chapter.path].labels
        counters = [0] * 6
        for marks, rest in re.findall(r"^(##+) +(.*)$", prose(chapter.text), re.MULTILINE):
            attributes = re.search(r"\{([^{}]*)\}\s*$", rest)
            if "unnumbered" in (attributes[1] if attributes else "") or not chapter.number:
                continue
            if _in_callout(chapter.text, f"{marks} {rest}"):
                continue
            level = len(marks) - 2
            counters[level] += 1
            counters[level + 1 :] = [0] * (5 - level)
            if attributes and (name := re.search(r"#(sec-[\w-]+)", attributes[1])):
                labels[name[1]] = f"Section {'.'.join([chapter.number, *map(str, counters[: level + 1])])}"
    return labels


def _in_callout(text: str, line: str) -> bool:
    return bool(re.search(r"^:::+ *\{[^}]*\.callout-[^}]*\}\n+" + re.escape(line) + r"\s*$", text, re.MULTILINE))


def inspect_pdf(book: Book, path: Path) -> list[str]:
    """Everything that is missing or wrong in the PDF of a book."""
    from pypdf import PdfReader  # noqa: PLC0415 - a development dependency

    if not path.is_file():
        return [f"{path.name}: missing"]
    document = PdfReader(path)
    texts = [page.extract_text() for page in document.pages]
    text = "\n".join(texts)
    flat, where = squash(text), path.name
    faults = debris(re.sub(r"@[a-z]+\d{4}\w*", "", text), where)
    for chapter in book.chapters:
        found = content(chapter, "typ")
        faults += [
            f"{where}: {chapter.path}: title is missing" for part in pieces(chapter.title) if squash(part) not in flat
        ]
        faults += _captions(f"{where}: {chapter.path}", found, flat)
    metadata: Any = document.metadata or {}
    if (metadata.get("/Title") or "") != book.title:
        faults.append(f"{where}: its title is {metadata.get('/Title')!r}, not {book.title!r}")
    catalogue: Any = document.trailer["/Root"]
    if not str(catalogue.get("/Lang", "")).startswith(book.language.split("-")[0]):
        faults.append(f"{where}: its language is {catalogue.get('/Lang')!r}")
    bookmarks = [entry for entry in document.outline if not isinstance(entry, list)]
    if len(bookmarks) < len(book.chapters):
        faults.append(f"{where}: {len(bookmarks)} bookmarks for {len(book.chapters)} chapters")
    for number, (page, words) in enumerate(zip(document.pages, texts, strict=True), 1):
        if len(words.split()) < 3 and not page.images:
            faults.append(f"{where}: page {number} is blank")
    return faults
