"""The list of sources: one repository a line, with the commit to read, its stated licence and its group.

Group ``a`` holds algorithms, exercises and teaching code, group ``b`` libraries and applications; the two are filtered
alike but decontaminated differently. Not covered: fetching; see :mod:`codelab.tasks.corpus.checkouts`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from codelab.errors import UserError

COLUMNS = ("repo", "commit", "licence", "group")
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Source:
    """One repository: ``owner/name``, the commit of 40 hex digits, SPDX names joined by ``/``, group ``a`` or ``b``."""

    repo: str
    commit: str
    licence: str
    group: str

    @property
    def slug(self) -> str:
        """The name as one path component."""
        return self.repo.replace("/", "+")


def load_sources(path: Path) -> list[Source]:
    """Read a tab-separated list whose first line names the columns; more columns than :data:`COLUMNS` are ignored.

    Returns:
        The sources in the order of the file. The order decides which of two near duplicates stays.

    Raises:
        UserError: unreadable file, missing column, or a malformed or repeated line, named by its number.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"sources {path}: cannot be read: {error}") from error
    header = lines[0].split("\t") if lines else []
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise UserError(
            f"sources {path}, line 1: expected tab-separated columns {', '.join(COLUMNS)}; missing {missing[0]}"
        )
    sources: list[Source] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or line.startswith("#"):
            continue
        source = _parse(path, number, line, header)
        if source.repo in seen:
            raise UserError(f"sources {path}, line {number}: {source.repo} stands already on line {seen[source.repo]}")
        seen[source.repo] = number
        sources.append(source)
    if not sources:
        raise UserError(f"sources {path}: no source in it, expected at least one line below the column names")
    return sources


def _parse(path: Path, number: int, line: str, header: list[str]) -> Source:
    cells = line.split("\t")
    if len(cells) != len(header):
        raise UserError(f"sources {path}, line {number}: expected {len(header)} tab-separated cells, got {len(cells)}")
    row = dict(zip(header, cells, strict=True))
    checks = (
        ("repo", bool(_REPO.fullmatch(row["repo"])), "owner/name"),
        ("commit", bool(_COMMIT.fullmatch(row["commit"])), "40 lower-case hex digits"),
        ("licence", bool(row["licence"].strip()), "SPDX names joined by /"),
        ("group", row["group"] in {"a", "b"}, "a or b"),
    )
    for name, good, expected in checks:
        if not good:
            raise UserError(f"sources {path}, line {number}: {name}: expected {expected}, got {row[name]!r}")
    return Source(row["repo"], row["commit"], row["licence"], row["group"])
