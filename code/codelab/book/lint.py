"""Rules for chapters that no renderer enforces: captions, alternative texts, citations, plain cells, bound numbers.

Each rule returns one line a fault, ``file:line: what``. The rules are heuristics over Markdown, so each has a way out:
a number that is given and not measured is written ``[80 GB]{.given}``. Not covered: spelling, style, truth.
"""

import ast
import re
from collections.abc import Iterator

from codelab.book import claim_check, sources
from codelab.book.bibliography import incomplete, read_entries
from codelab.book.freshness import trees
from codelab.book.project import Book, Chapter
from codelab.errors import UserError

LIMIT = 45_000
MEASURED = ("7", "8", "9", "10")  # chapters whose numbers come from records, as in the overview and the appendices
_FENCE = re.compile(r"^(```+|~~~+)\s*(\S.*)?$")
_CROSS = re.compile(r"(?<![\w\\`])@((?:fig|tbl|eq|sec)-[\w-]*\w)")
_CITE = re.compile(r"(?<![\w\\`.])@((?!(?:fig|tbl|eq|sec)-)[A-Za-z][\w:-]*\w)")
_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1")
_UNIT = (
    r"(?:s|ms|µs|seconds?|minutes?|min|hours?|h|[kMGT]i?B|bytes|tokens?/s|tokens per second|it/s|%|per ?cent"
    r"|percentage points|points|×|x|times|nats)"
)
_NUMBER = re.compile(rf"(?<![\w.@#-])\d[\d.,]*[\s\u00a0\u202f]*{_UNIT}(?![\w/])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|etc|al|resp|approx|ca|Fig|Eq|Sec|No|pp?|Dr|St|vol|ch)|\b[A-Z])\.$")


def lint(book: Book) -> list[str]:
    """All faults of all chapters and of the bibliography."""
    faults: list[str] = []
    defined = {name for chapter in book.chapters for name in _identifiers(chapter)}
    for chapter in book.chapters:
        for rule in (size, cells, definitions, sentences, figures, tables, numbers, claim_check.faults, sources.faults):
            faults += [f"{chapter.path}:{line}: {what}" for line, what in rule(chapter)]
        for line, text in prose_lines(chapter):
            faults += [
                f"{chapter.path}:{line}: @{name} leads nowhere"
                for name in _CROSS.findall(_SPAN.sub("", text))
                if name not in defined
            ]
    return faults + citations(book)


def citations(book: Book) -> list[str]:
    """The bibliography is complete, every entry is cited, every citation has an entry."""
    try:
        entries = read_entries(book.bibliography)
    except UserError as error:
        return [str(error)]
    known, used = {entry.key for entry in entries}, set[str]()
    faults = [f"{book.bibliography.name}: {fault}" for fault in incomplete(entries)]
    for chapter in book.chapters:
        for line, text in prose_lines(chapter, blank=False):
            keys = _CITE.findall(_SPAN.sub("", text))
            used.update(keys)
            faults += [f"{chapter.path}:{line}: @{key} is not in the bibliography" for key in keys if key not in known]
    return faults + [f"{book.bibliography.name}: {key}: never cited" for key in sorted(known - used)]


def size(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """A chapter stays small enough to review."""
    length = len(chapter.text.encode())
    if length > LIMIT:
        yield 1, f"{length:,} bytes, more than {LIMIT:,}: split it"


def cells(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """Options stand first in a cell, where they count; figures and tables of cells have captions and ids."""
    if "`{python} " in chapter.text and not chapter.executable:
        yield 1, "inline code without a code cell is never executed"
    for start, lines in _cells(chapter):
        code = next(
            (place for place, text in enumerate(lines) if text.strip() and not text.startswith("#|")), len(lines)
        )
        for place, text in enumerate(lines[code:], code):
            if text.lstrip().startswith("#|"):
                yield start + place + 1, "`#|` below the first line of code is ignored"
        options = dict(re.findall(r"^#\|\s*([\w-]+):\s*(.*)$", "\n".join(lines[:code]), re.MULTILINE))
        label = options.get("label", "").strip("\"'")
        for kind, wanted in (("fig", ("fig-cap", "fig-alt")), ("tbl", ("tbl-cap",))):
            if label.startswith(f"{kind}-"):
                for name in wanted:
                    if not options.get(name, "").strip("\"' "):
                        yield start, f"cell {label} has no {name}"
            elif f"{kind}-cap" in options:
                yield start, f"a cell with {kind}-cap needs a label that starts with {kind}-"


def definitions(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """Chapters call functions; they define none."""
    try:
        for tree in trees(chapter):
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield 1, f"defines {node.name}; move it to the package"
    except UserError as error:
        yield 1, str(error)


def sentences(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """One sentence a line, so that a diff shows the sentence that changed."""
    before, last = "", 0
    for line, text in prose_lines(chapter):
        plain = _SPAN.sub("`code`", re.sub(r"\[[^\]]*@[^\]]*\]", "", text))
        plain = re.sub(r"^\s*(?:[-*]|\d+\.)\s+", "- ", plain)
        plain = re.sub(r"^(- )?(\*{1,2})[^*.]{1,40}\.\2 ", "- ", plain)  # a run-in heading is no sentence
        for match in re.finditer(r"(?<=[a-z0-9)%`*”\"])([.!?])[*”\")]?\s+(?=[A-Z“\"(])", plain):
            if not _ABBREVIATION.search(plain[: match.start() + 1]):
                yield line, f"two sentences on a line: …{plain[max(0, match.start() - 25) : match.end() + 15]}…"
        joined = line == last + 1 and re.search(r"[a-z,]$", before) and re.match(r"[a-z]", plain)
        if joined and not text.startswith("  "):
            yield line, f"a sentence goes on from the line before: {plain[:40]}…"
        before, last = plain if not re.match(r"\s*[-*|:>#]", plain) else "", line


def figures(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """Every figure has a caption, an id and an alternative text, and its file exists."""
    for line, text in prose_lines(chapter, blank=False):
        for match in re.finditer(r"!\[(.*)\]\(([^)\s]+)[^)]*\)(\{[^}]*\})?", text):
            caption, address, attributes = match[1], match[2], match[3] or ""
            if not caption.strip():
                yield line, f"figure {address} has no caption"
            if not re.search(r"#fig-[\w-]+", attributes):
                yield line, f"figure {address} has no id that starts with fig-"
            if not re.search(r"fig-alt=([\"'])\s*\S", attributes):
                yield line, f"figure {address} has no fig-alt"
            if "://" in address or not ((chapter.root / chapter.path).parent / address).is_file():
                yield line, f"figure {address} does not exist in the repository"


def tables(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """Every pipe table has a caption with an id below it."""
    lines = dict(prose_lines(chapter, blank=False))
    for line, text in lines.items():
        if re.fullmatch(r"\s*\|?[ :]*-{2,}[-:| ]*\|[-:| ]*", text):
            end = line
            while "|" in lines.get(end + 1, ""):
                end += 1
            after = [lines.get(end + ahead, "") for ahead in (1, 2)]
            if not any(re.match(r"\s*(:|Table:)\s+\S.*\{[^}]*#tbl-[\w-]+", text) for text in after):
                yield line, "table without `: Caption {#tbl-…}` below it"


def numbers(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """Measured numbers are read from records: none is typed, unless its sentence cites or marks it as given."""
    if chapter.number.isdigit() and chapter.number not in MEASURED:
        return  # an essay works its numbers out
    for line, text in prose_lines(chapter):
        plain = _SPAN.sub("", re.sub(r"\$[^$]*\$|\[[^\]]*\]\{[^}]*\.given[^}]*\}|\{[^}]*\}", "", text))
        if _CITE.search(plain) or plain.lstrip().startswith("#"):
            continue
        for match in _NUMBER.finditer(plain):
            yield line, f"typed number {match[0]!r}: read it from a record, cite it, or write [{match[0]}]{{.given}}"


def prose_lines(chapter: Chapter, blank: bool = True) -> Iterator[tuple[int, str]]:
    """Numbered lines outside code, header and formulas; with ``blank``, tables, captions, divs and notes left out."""
    fence, formula, header = "", False, chapter.text.startswith("---\n")
    for number, text in enumerate(chapter.text.split("\n"), 1):
        if header:
            header = number == 1 or text != "---"
            continue
        mark = _FENCE.match(text.strip())
        if fence:
            fence = "" if text.strip().startswith(fence) and not (mark and mark[2]) else fence
            continue
        if mark:
            fence = mark[1]
            continue
        if text.strip().startswith("$$") or formula:
            formula ^= text.count("$$") % 2 == 1
            continue
        if blank and re.match(r"\s*(\||:::|!\[|: |<!--|\[\^)", text):
            continue
        yield number, text


def _cells(chapter: Chapter) -> Iterator[tuple[int, list[str]]]:
    for match in re.finditer(r"^```+ *\{python[^}]*\}\n(.*?)^```+ *$", chapter.text, re.MULTILINE | re.DOTALL):
        yield chapter.text.count("\n", 0, match.start()) + 1, match[1].split("\n")


def _identifiers(chapter: Chapter) -> Iterator[str]:
    yield from re.findall(r"\{[^{}\n]*#((?:fig|tbl|eq|sec)-[\w-]*\w)", chapter.text)
    for _, lines in _cells(chapter):
        yield from re.findall(r"^#\|\s*label:\s*[\"']?((?:fig|tbl)-[\w-]*\w)", "\n".join(lines), re.MULTILINE)
