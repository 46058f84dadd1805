"""What the Tab key offers after ``codelab run``, ``runs``, ``compare``, ``close`` and ``figures``.

Covers names below the current folder: a shell completes where the user stands. Not covered: options, which the shell
gets from the application itself.
"""

import re
from collections.abc import Iterable
from pathlib import Path


def recipes(incomplete: str) -> list[str]:
    """Recipe files that begin with what was typed."""
    return _starting(incomplete, Path("recipes").glob("*.yaml"))


def recorded(incomplete: str) -> list[str]:
    """Names of recipes that have records."""
    return sorted(path.name for path in Path("results").glob(f"{_plain(incomplete)}*") if path.is_dir())


def records(incomplete: str) -> list[str]:
    """Folders of finished runs."""
    return _starting(incomplete, (path.parent for path in Path("results").glob("*/*/record.json")))


def partials(incomplete: str) -> list[str]:
    """Folders of unfinished runs."""
    return _starting(incomplete, Path("results").glob("*/.*.partial"))


def drawings(incomplete: str) -> list[str]:
    """Names of diagrams."""
    return sorted(path.stem for path in Path("figures").glob(f"{_plain(incomplete)}*.svg"))


def _starting(incomplete: str, paths: Iterable[Path]) -> list[str]:
    return sorted(found for path in paths if (found := path.as_posix()).startswith(incomplete))


def _plain(text: str) -> str:
    """Typed text, without the signs that would make a pattern of it."""
    return re.sub(r"[*?\[\]]", "", text)
