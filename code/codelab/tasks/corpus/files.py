"""Compressed JSON lines, written under a temporary name and renamed, so that a killed run leaves no half file.

Not covered: appending; every file is written whole.
"""

import io
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from codelab.errors import UserError

LEVEL = 6


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write rows as zstandard-compressed JSON lines; returns how many. The file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    count = 0
    with partial.open("wb") as raw, zstandard.ZstdCompressor(level=LEVEL).stream_writer(raw) as packed:
        for row in rows:
            packed.write(
                json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
            )
            count += 1
    partial.rename(path)
    return count


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file written by :func:`write_rows`, one at a time.

    Raises:
        UserError: the file is missing or not such a file.
    """
    try:
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as plain:
            for line in io.TextIOWrapper(plain, encoding="utf-8", newline="\n"):
                yield json.loads(line)
    except (OSError, zstandard.ZstdError, ValueError) as error:
        raise UserError(f"{path}: not readable as compressed JSON lines: {error}") from error


def place(path: Path, target: Path) -> None:
    """Copy a file, whole or not at all."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(path, partial)
    partial.rename(target)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.rename(path)


def read_json(path: Path) -> Any:
    """The value of a JSON file, or None when the file is missing or broken (it is then made anew)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
