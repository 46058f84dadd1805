"""The list of packages that the general text is taken from.

One tab-separated row a package: ``package``, ``version``, ``sha256`` of the .deb, ``licence`` as its copyright file
says, ``format`` of the wanted files, ``files`` (a pattern of paths inside) and ``part``. ``part`` is ``shared`` where
a hash deals documents to training and held-out text, or ``held_out`` where the whole package is held out: a source of
which training sees nothing. Not covered: fetching (``deb``) and reading (``extract``).
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from codelab.errors import UserError

FORMATS = ("html", "pod", "rst", "entries", "novels", "capitals")
PARTS = ("shared", "held_out")
_COLUMNS = ("package", "version", "sha256", "licence", "format", "files", "part")


@dataclass(frozen=True)
class Source:
    """One row of the list."""

    package: str
    version: str
    sha256: str
    licence: str
    format: str
    files: str
    part: str


def load_sources(path: Path) -> list[Source]:
    """Read the list.

    Raises:
        UserError: unreadable, other columns, an unknown format or part, or a package that stands in it twice.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t")
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                raise UserError(f"{path}: expected the columns {', '.join(_COLUMNS)}")
            rows = [Source(**row) for row in reader]
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except TypeError as error:
        raise UserError(f"{path}: a row with more or fewer than {len(_COLUMNS)} values") from error
    for row in rows:
        for name, value, known in (("format", row.format, FORMATS), ("part", row.part, PARTS)):
            if value not in known:
                raise UserError(f"{path}: {row.package}: {name}: expected one of {', '.join(known)}, got {value!r}")
        if len(row.sha256) != 64:
            raise UserError(f"{path}: {row.package}: sha256: expected 64 hexadecimal digits")
    if not rows or len({row.package for row in rows}) < len(rows):
        raise UserError(f"{path}: expected at least one package, each once")
    return rows
