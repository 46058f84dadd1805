"""From files to paragraphs of running text: HTML, POD, reStructuredText, dictd entries and novels stored by R.

Code blocks, tables, menus and headings go; what remains is handed to :mod:`codelab.tasks.general.prose`, which judges
each paragraph. Nothing here is exact for a format: a paragraph that is lost costs little, code that stays is caught
by the judge. Not covered: other formats, and mark-up inside a paragraph beyond removing it.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

Document = tuple[str, list[str]]
"""A document's name within its file (empty where the file is one document) and its paragraphs."""

_BLOCKS = frozenset(
    [
        "p",
        "li",
        "dd",
        "dt",
        "div",
        "td",
        "th",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "br",
        "tr",
        "table",
        "ul",
        "ol",
        "dl",
        "section",
        "blockquote",
        "body",
        "pre",
        "title",
        "hr",
        "figure",
    ]
)
_DROPPED = frozenset(
    [
        "pre",
        "script",
        "style",
        "nav",
        "header",
        "footer",
        "table",
        "title",
        "head",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "dt",
        "figure",
        "screen",
        "code-block",
        "svg",
        "math",
    ]
)
_VOID = frozenset(["br", "hr", "img", "input", "meta", "link", "col", "area", "base", "source", "wbr"])


class _Paragraphs(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._text: list[str] = []
        self._skipping: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.flush()
        if tag in _DROPPED and tag not in _VOID:
            self._skipping.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.flush()
        if tag in self._skipping:  # mark-up that is not closed in order must not hide the rest of the page
            while self._skipping.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self._text.append(data)

    def flush(self) -> None:
        text = " ".join("".join(self._text).split())
        self._text = []
        if text:
            self.found.append(text)


def html(content: bytes) -> Iterator[Document]:
    """Paragraphs of a page."""
    parser = _Paragraphs()
    text = content.decode("utf-8", "replace")
    # A page that does not close its head must not lose its body.
    parser.feed(re.sub(r"(?is)^.*?<body[^>]*>", "", text, count=1))
    parser.close()
    parser.flush()
    yield "", parser.found


def pod(content: bytes) -> Iterator[Document]:
    """Paragraphs of Perl's documentation: those that neither start with a command nor are indented."""
    blocks = re.split(r"\n\s*\n", content.decode("utf-8", "replace"))
    yield "", [" ".join(_pod_plain(block).split()) for block in blocks if block[:1] not in ("=", " ", "\t", "")]


def _pod_plain(text: str) -> str:
    text = re.sub(r"L<(?:([^|<>]*)\|)?([^<>]*)>", lambda match: match[1] or match[2], text)
    text = re.sub(r"[A-Z]<<+\s(.*?)\s>>+", r"\1", text, flags=re.S)
    while (plain := re.sub(r"[A-Z]<([^<>]*)>", r"\1", text)) != text:
        text = plain
    return text


def rst(content: bytes) -> Iterator[Document]:
    """Paragraphs of reStructuredText: not indented, no directive, list mark removed."""
    found = []
    for block in re.split(r"\n\s*\n", content.decode("utf-8", "replace")):
        lines = block.strip("\n").split("\n")
        if not lines[0] or lines[0][0].isspace() or lines[0].startswith((".. ", ":", "+-", "==", "|")):
            continue
        if any(re.fullmatch(r"([=\-~^\"'`#*+.:])\1{2,}", line.strip()) for line in lines):
            continue
        text = re.sub(r"^([*\-+]|\d+[.)])\s+", "", " ".join(" ".join(lines).split()))
        text = re.sub(r":[a-z:]+:`([^`<]*?)(?: <[^>]*>)?`", r"\1", text)
        found.append(text.replace("``", "").replace("**", "").removesuffix(":") + (":" if text.endswith("::") else ""))
    yield "", found


def entries(content: bytes) -> Iterator[Document]:
    """Entries of a dictd file, as FOLDOC has them: a headline at the margin, indented paragraphs, braces for links."""
    name, found = "", []  # type: tuple[str, list[str]]
    for block in re.split(r"\n\s*\n", content.decode("utf-8", "replace")):
        if block[:1].strip():
            if found:
                yield name, found
            name, found = block.split("\n")[0].strip(), []
            continue
        text = re.sub(r"^<[^>]*>\s*", "", " ".join(block.split()))
        found.append(text.replace("{", "").replace("}", ""))
    if found:
        yield name, found


def novels(content: bytes) -> Iterator[Document]:
    """Novels in R's lazy-load file: compressed vectors of lines, one a novel; a document is a chapter.

    The name of a document is ``novel/chapter``, so that a novel can be held out as a whole.
    """
    at = 0
    while at + 4 < len(content):
        expand = zlib.decompressobj()
        lines = _r_strings(expand.decompress(content[at + 4 :]))
        at = len(content) - len(expand.unused_data)
        title, chapter, found = lines[0].title() if lines else "", 0, []  # type: tuple[str, int, list[str]]
        for block in "\n".join(lines).split("\n\n"):
            text = " ".join(block.split())
            if re.match(r"(?i)(volume|chapter)\s+([ivxl]+|\d+)\b", text):
                if found:
                    yield f"{title}/{chapter}", found
                chapter, found = chapter + 1, []
            elif text:
                found.append(text.replace("_", ""))
        if found:
            yield f"{title}/{chapter}", found


def _r_strings(raw: bytes) -> list[str]:
    """The one character vector of an R serialisation in XDR form (R Internals, section 1.8)."""
    head = raw.find(b"\x00\x00\x00\x10", 14)  # a STRSXP without attributes
    count = struct.unpack_from(">I", raw, head + 4)[0]
    at, lines = head + 8, []
    for _ in range(count):
        kind, size = struct.unpack_from(">Ii", raw, at)
        if kind & 0xFF != 9:  # CHARSXP
            raise ValueError("an R vector that is not of strings")
        at += 8
        lines.append(raw[at : at + max(size, 0)].decode("utf-8", "replace"))
        at += max(size, 0)
    return lines


def capitals(content: bytes) -> list[tuple[str, str]]:
    """Pairs of country and capital out of KGeography's map of the world."""
    found = []
    for division in content.decode("utf-8").split("</division>"):
        country, capital = (re.search(rf"<{tag}>([^<]+)</{tag}>", division[division.rfind("<division>") :])
                            for tag in ("name", "capital"))  # fmt: skip
        if country and capital:
            found.append((country[1], capital[1]))
    # A few capitals carry a note in brackets; a name with one could not be asked for in a sentence.
    return [(country, capital) for country, capital in found if "(" not in country + capital]


READERS: dict[str, Callable[[bytes], Iterator[Document]]] = {
    "html": html, "pod": pod, "rst": rst, "entries": entries, "novels": novels,
}  # fmt: skip
"""Reader of each format named in :mod:`codelab.tasks.general.sources`."""
