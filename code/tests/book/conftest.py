"""A copy of the fixture book, frozen and stamped, with the look of the real one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from codelab.book.freshness import stamp
from codelab.book.project import Book, read_book

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
Edit = Callable[[str, str, str], Book]


def copy_book(target: Path) -> Path:
    """Put the fixture book and the repository's assets into a folder."""
    shutil.copytree(HERE / "fixtures" / "book", target)
    shutil.copytree(REPOSITORY / "assets", target / "assets")
    return target


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """A fresh copy, stamped."""
    found = read_book(copy_book(tmp_path / "book"))
    stamp(found)
    return found


@pytest.fixture(scope="session")
def fixture_book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """A copy that no test changes."""
    found = read_book(copy_book(tmp_path_factory.mktemp("fixture") / "book"))
    stamp(found)
    return found


@pytest.fixture
def edit(book: Book) -> Edit:
    """Replace a text, which must be there, in a file of the copy; returns the book read again."""

    def change(path: str, old: str, new: str) -> Book:
        file = book.root / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new), encoding="utf-8")
        return read_book(book.root)

    return change
