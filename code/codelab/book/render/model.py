"""What passes between the steps of the second renderer: pages on their way, and what a format must be able to write.

Not covered: the steps themselves.
"""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from codelab.book.project import Chapter
from codelab.errors import UserError


@dataclass
class Page:
    """A chapter on its way: its blocks without the title, its sections, and the pictures it shows."""

    chapter: Chapter
    blocks: list[Any]
    title: list[Any] = field(default_factory=list)
    sections: list[tuple[str, str, str]] = field(default_factory=list)  # id, number, title
    pictures: dict[str, Path] = field(default_factory=dict)  # address on the page, file
    counts: dict[str, int] = field(default_factory=dict)
    notes: dict[str, list[Any]] = field(default_factory=dict)  # blocks that belong below a table, by its id


Target = tuple[str, Page]  # "Figure 7.1" and the page that it is on


class Writer(ABC):
    """What differs between HTML and Typst; blocks and inlines are panflute's."""

    extension: str

    @abstractmethod
    def callout(self, kind: str, title: list[Any], body: list[Any], folded: bool) -> list[Any]:
        """Blocks of a callout."""

    @abstractmethod
    def equation(self, identifier: str, number: str, math: Any) -> list[Any]:
        """Inlines of a numbered equation."""

    @abstractmethod
    def picture(self, page: Page, address: str) -> str:
        """The address to write for a picture that a chapter shows."""

    @abstractmethod
    def target(self, identifier: str, page: Page, there: Page) -> str:
        """The address of an id on another page."""

    def section(self, number: str) -> list[Any]:
        """Inlines before a section's title."""
        return []

    def label(self, text: str) -> list[Any]:
        """Inlines before a caption."""
        return []

    def fold(self, code: Any) -> list[Any]:
        """Blocks for the code of a cell."""
        return [code]

    def cell(self, blocks: list[Any]) -> list[Any]:
        """Blocks for an executed cell: its code as :meth:`fold` left it, and its outputs."""
        return blocks

    def finish(self, element: Any, notes: list[Any]) -> Any:
        """A last change to figures and tables, captions in place; None for no change.

        Args:
            element: the figure or table.
            notes: blocks that stay with a table.
        """
        return None


def relative(path: str, start: str) -> str:
    """Address of one page or picture seen from another page, both relative to the output folder."""
    return "../" * (len(PurePosixPath(start).parts) - 1) + path


def picture_file(page: Page, address: str) -> Path:
    """The file behind a picture's address in a chapter, frozen or drawn.

    Raises:
        UserError: there is none.
    """
    chapter = page.chapter
    folder = (chapter.root / chapter.path).parent
    frozen = f"{Path(chapter.path).stem}_files/"
    path = chapter.freezer / address.removeprefix(frozen) if address.startswith(frozen) else folder / address
    path = Path(os.path.normpath(path))
    if not path.is_file():
        raise UserError(f"{chapter.path}: shows {address}, which does not exist")
    return path
