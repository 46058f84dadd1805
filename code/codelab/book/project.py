"""The book as a project: its settings, its chapters in order with their numbers, and their frozen text.

Reads ``_quarto.yml``, so that both renderers and every check agree on what the book is. Not covered: Quarto profiles
and included metadata files.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import yaml

from codelab.errors import UserError

FORMATS = {"html": "html", "typst": "typ", "docx": "docx", "ipynb": "ipynb"}
_CELL = re.compile(r"^```+ *\{python\b", re.MULTILINE)
_HEADING = re.compile(r"^# +(?P<title>.*?)\s*(?:\{(?P<attributes>[^{}]*)\})?\s*$", re.MULTILINE)
_FENCED = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Chapter:
    """One chapter.

    Args:
        root: the book's folder.
        path: the file, relative to ``root``.
        number: ``"7"``, ``"A"``, or empty where the chapter has none.
        appendix: whether it stands among the appendices.
        part: title of the part that it belongs to, or empty.
        name: what a numbered chapter is called in references.
    """

    root: Path
    path: str
    number: str = ""
    appendix: bool = False
    part: str = ""
    name: str = "Chapter"

    @cached_property
    def text(self) -> str:
        """The chapter's file, with line feeds only.

        Raises:
            UserError: it cannot be read.
        """
        try:
            return (self.root / self.path).read_bytes().decode("utf-8").replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.path}: a chapter of _quarto.yml, but it cannot be read ({error})") from error

    @cached_property
    def heading(self) -> re.Match[str]:
        """The one heading of the first level, code blocks left aside.

        Raises:
            UserError: there is none.
        """
        match = _HEADING.search(_FENCED.sub("", self.text))
        if match is None:
            raise UserError(f"{self.path}: no heading of the first level")
        return match

    @property
    def title(self) -> str:
        """The title's Markdown."""
        return self.heading["title"]

    @property
    def identifier(self) -> str:
        """The id for cross-references, such as ``sec-q7``, or empty."""
        match = re.search(r"#([\w-]+)", self.heading["attributes"] or "")
        return match[1] if match else ""

    @property
    def executable(self) -> bool:
        """Whether it has code cells, and so must be frozen."""
        return bool(_CELL.search(self.text))

    @property
    def page(self) -> str:
        """The HTML page, relative to the output folder."""
        return str(Path(self.path).with_suffix(".html"))

    @property
    def label(self) -> str:
        """How a reference names it: ``Chapter 7``, ``Appendix A``, or its title."""
        return f"{self.name} {self.number}" if self.number else self.title

    @property
    def md5(self) -> str:
        """The hash under which Quarto freezes this text."""
        return hashlib.md5(self.text.encode(), usedforsecurity=False).hexdigest()

    @property
    def freezer(self) -> Path:
        """The folder of its frozen outputs."""
        return self.root / "_freeze" / Path(self.path).with_suffix("")

    def frozen(self, extension: str) -> str:
        """The text to render: the file itself without code cells, else the executed Markdown.

        Raises:
            UserError: there is no frozen output for this format, or it belongs to another text.
        """
        if not self.executable:
            return self.text
        path = self.freezer / "execute-results" / f"{extension}.json"
        mend = "render the book with Quarto (`make book-quarto`) to execute it"
        try:
            content = json.loads(path.read_bytes())
            known, markdown = str(content["hash"]), str(content["result"]["markdown"])
        except FileNotFoundError as error:
            raise UserError(f"{self.path}: has code cells but no frozen {extension} output; {mend}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a frozen chapter ({error}); {mend}") from error
        if known != self.md5:
            raise UserError(f"{self.path}: its text changed after its {extension} output was frozen; {mend}")
        return markdown


@dataclass(frozen=True)
class Book:
    """The settings that renderers and checks share."""

    root: Path
    settings: dict[str, Any] = field(repr=False)
    chapters: tuple[Chapter, ...]
    whole: "Book | None" = None  # where this is an extract: the book that it is taken from

    def extract(self, chapters: Iterable[Chapter], title: str, stem: str) -> "Book":
        """Some chapters as a document of their own: numbered and cited as in the whole book.

        Args:
            chapters: what to keep, in the book's order.
            title: the document's title; it has no subtitle.
            stem: its file name without suffix.
        """
        named = {"title": title, "subtitle": "", "output-file": stem}
        settings = self.settings | {"book": self.settings["book"] | named}
        return Book(self.root, settings, tuple(chapters), self.whole or self)

    def questions(self, kind: str) -> tuple[Chapter, ...]:
        """The chapters that ``submission: essays:`` or ``notebooks:`` of ``_quarto.yml`` lists by number.

        Raises:
            UserError: the list is not there, or names a number that no chapter has.
        """
        wanted = (self.settings.get("submission") or {}).get(kind)
        if not isinstance(wanted, list) or not wanted:
            raise UserError(f"_quarto.yml: submission.{kind}: expected a list of chapter numbers, such as [1, 2]")
        numbered = {chapter.number: chapter for chapter in self.chapters if not chapter.appendix}
        if absent := [str(number) for number in wanted if str(number) not in numbered]:
            raise UserError(f"_quarto.yml: submission.{kind}: no chapter has the number {', '.join(absent)}")
        return tuple(numbered[str(number)] for number in wanted)

    @property
    def author(self) -> str:
        """The author's name, from its one setting.

        Raises:
            UserError: it is missing or empty.
        """
        name = self.of("author").strip()
        if not name:
            raise UserError("_quarto.yml: book.author: missing; every file that is handed in bears the author's name")
        return name

    @property
    def repository(self) -> str:
        """Address of the public repository without a slash at its end (``book.repo-url``), or empty."""
        return self.of("repo-url").rstrip("/")

    @property
    def branch(self) -> str:
        """The branch that links into the repository name (``book.repo-branch``)."""
        return self.of("repo-branch", "main")

    def of(self, key: str, default: str = "") -> str:
        """A value of the ``book`` section as text."""
        value = self.settings.get("book", {}).get(key) or default
        if isinstance(value, list):
            return ", ".join(str(item.get("name", item) if isinstance(item, dict) else item) for item in value)
        return str(value.get("name", "") if isinstance(value, dict) else value)

    @property
    def title(self) -> str:
        """The book's title."""
        return self.of("title", "Untitled")

    @property
    def stem(self) -> str:
        """Name of the PDF and Word files without suffix, as Quarto makes it."""
        return self.of("output-file") or re.sub(r"[^\w.-]+", "-", self.title).strip("-")

    @property
    def language(self) -> str:
        """The document language."""
        return str(self.settings.get("lang", "en"))

    @property
    def bibliography(self) -> Path:
        """The one bibliography file."""
        named = self.settings.get("bibliography", "references.bib")
        return self.root / str(named[0] if isinstance(named, list) else named)

    @property
    def formats(self) -> list[str]:
        """Extensions of the formats that the book is made in, as the freezer names them."""
        return [FORMATS[name] for name in self.settings.get("format", {}) if name in FORMATS]


def read_book(root: Path) -> Book:
    """Read ``_quarto.yml`` and the headings of all chapters.

    Raises:
        UserError: a file is missing or malformed.
    """
    path = root / "_quarto.yml"
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
        book = settings["book"]
        plain, appendices = _files(book["chapters"]), _files(book.get("appendices", []))
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not the settings of a book ({error})") from error
    words = settings.get("language") or {}
    own, other = words.get("crossref-ch-prefix", "Chapter"), words.get("crossref-apx-prefix", "Appendix")
    chapters = []
    for files, numbers, word in ((plain, map(str, range(1, 100)), own), (appendices, iter(ascii_uppercase), other)):
        for name, part in files:
            chapter = Chapter(root, name, appendix=files is appendices, part=part, name=word)
            unnumbered = re.search(r"\.unnumbered|(^|\s)-($|\s)", chapter.heading["attributes"] or "")
            chapters.append(chapter if unnumbered else replace(chapter, number=next(numbers)))
    return Book(root, settings, tuple(chapters))


def _files(entries: list[Any], part: str = "") -> list[tuple[str, str]]:
    names: list[tuple[str, str]] = []
    for entry in entries:
        if isinstance(entry, str):
            names.append((entry, part))
        elif "chapters" in entry:
            title = str(entry.get("part", ""))
            if title.endswith(".qmd"):
                names.append((title, part))
            names += _files(entry["chapters"], title)
        else:
            names.append((entry.get("href") or entry["file"], part))
    return names
