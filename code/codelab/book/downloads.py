"""Notebooks beside the finished pages, and links to them where the pages offer the PDF.

Works on the pages of either renderer after they were written: neither knows of notebooks. Not covered: the PDF and the
Word file, which the renderers link to.
"""

import os
import re
from pathlib import Path

from codelab.book.build import DOWNLOADS
from codelab.book.notebook import name, write_notebooks
from codelab.book.project import Book
from codelab.errors import UserError

# The menu of Quarto's sidebar, and the line of the second renderer's.
_MENU = re.compile(
    r'(<ul class="dropdown-menu" aria-labelledby="quarto-navigation-tool-dropdown-0">.*?)(\s*</ul>)', re.DOTALL
)
_LINE = re.compile(r'(<p class="downloads">.*?)(</p>)', re.DOTALL)


def add_notebooks(book: Book, output: Path) -> list[Path]:
    """Write the notebooks below ``output`` and link them on every page.

    Returns:
        The notebooks; none where the book's settings ask for none.

    Raises:
        UserError: a notebook cannot be made, or a page offers no downloads to join.
    """
    if not (book.settings.get("submission") or {}).get("notebooks"):
        return []
    folder = output / DOWNLOADS
    folder.mkdir(exist_ok=True)
    made = write_notebooks(book, folder)
    for chapter in book.chapters:
        path = output / chapter.page
        up = os.path.relpath(output, path.parent).replace(os.sep, "/")
        text = path.read_text(encoding="utf-8")
        items, links = "", []
        for other in book.questions("notebooks"):
            href, what = f"{up}/{DOWNLOADS}/{name(other)}", f"notebook of question {other.number}"
            items += (
                f'\n          <li><a class="dropdown-item sidebar-tools-main-item" href="{href}" download>'
                f'<i class="bi bi-journal-code pe-1"></i> Download {what}</a></li>'
            )
            links.append(f'<a href="{href}" download aria-label="{what}">{other.number}</a>')
        text, menus = _MENU.subn(rf"\g<1>{items}\g<2>", text)
        text, lines = _LINE.subn(rf"\g<1>; notebooks {' · '.join(links)}\g<2>", text)
        if menus + lines == 0:
            raise UserError(f"{path}: offers no downloads, so the notebooks cannot be linked there")
        path.write_text(text, encoding="utf-8")
    return made
