"""Small files written so that a reader never sees half of one, and line files that survive a kill in mid-line.

Not covered: large files, which are streamed by whoever makes them.
"""

import csv
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codelab.errors import UserError


def write_atomic(path: Path, content: bytes) -> None:
    """Write under a temporary name and rename.

    Raises:
        UserError: the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Append one JSON line.

    Raises:
        UserError: the disk refuses.
    """
    try:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(values, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error


def mend(path: Path) -> None:
    """Cut off a last line without its newline, which is what a kill left; a file that is absent stays absent."""
    if not path.exists():
        return
    with path.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        if size and handle.seek(size - 1) == size - 1 and handle.read(1) == b"\n":
            return
    content = path.read_bytes()
    if whole := content.rfind(b"\n") + 1:
        write_atomic(path, content[:whole])
    else:
        path.unlink()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; a last line cut short by a kill is cut off the file first."""
    mend(path)
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV text, columns in the order in which they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
