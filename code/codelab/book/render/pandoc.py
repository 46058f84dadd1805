"""Reading and writing Pandoc documents as panflute elements.

Not covered: what the elements mean for the book (``number`` and ``document`` of this package).
"""

import io
from collections.abc import Callable
from typing import Any

import panflute as pf
import pypandoc
from panflute.elements import RAW_FORMATS

from codelab.errors import UserError

RAW_FORMATS.add("typst")  # Pandoc knows it, panflute's list of raw formats does not
READER = "markdown-yaml_metadata_block"


def pandoc(text: str, to: str, source: str, *options: str) -> str:
    """One conversion; what Pandoc warns of would be missing in the book, so a warning is an error.

    Raises:
        UserError: with Pandoc's words.
    """
    try:
        return str(pypandoc.convert_text(text, to, source, extra_args=["--wrap=none", "--fail-if-warnings", *options]))
    except RuntimeError as error:
        raise UserError(f"Pandoc: {error}") from error


def read(text: str, source: str = READER) -> list[Any]:
    """Blocks of a text, Markdown by default."""
    return load(pandoc(text, "json", source))


def load(text: str) -> list[Any]:
    """Blocks of a Pandoc document in JSON."""
    return list(pf.load(io.StringIO(text)).content)


def dump(document: Any) -> str:
    """A Pandoc document as JSON."""
    out = io.StringIO()
    pf.dump(document, out)
    return out.getvalue()


def inlines(text: str) -> list[Any]:
    """Inlines of one line of Markdown."""
    blocks = read(text)
    return list(blocks[0].content) if blocks else []


def walk(blocks: list[Any], action: Callable[[Any], Any]) -> list[Any]:
    """Change blocks from the leaves up; the action returns a replacement, a list, or None."""
    return list(pf.Doc(*blocks).walk(lambda element, _doc: action(element)).content)


def parts(element: Any) -> list[Any]:
    """An element and everything in it, leaves first."""
    found: list[Any] = []
    element.walk(lambda part, _doc: found.append(part))
    return found


def convert(blocks: list[Any], to: str, *options: str) -> str:
    """Write blocks in another format with Pandoc."""
    return pandoc(dump(pf.Doc(*blocks)), to, "json", *options)


def plain(content: list[Any]) -> str:
    """Inlines as text, without markup."""
    return " ".join(pf.stringify(pf.Plain(*content)).split())


def without_file_links(blocks: list[Any]) -> list[Any]:
    """Links to other files of the repository lead nowhere from a PDF or a Word file: their text stays."""

    def action(element: Any) -> Any:
        if isinstance(element, pf.Link) and "://" not in element.url and element.url[:1] != "#":
            return list(element.content)
        return None

    return walk(blocks, action)
