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


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; a last line without its newline is what a kill left, and is cut off the file first."""
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) != len(content):
        write_atomic(path, whole)
    return [json.loads(line) for line in whole.splitlines()]


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV text, columns in the order in which they first appear."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
