"""Hashes that tie a record to what made it: files, trees of code, and plain values.

Covers content only. Not covered: file modes, times and ownership, which do not change a result.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def sha256_value(value: Any) -> str:
    """Hex SHA-256 of a JSON-serialisable value, independent of key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_tree(root: Path, patterns: Iterable[str] = ("*.py",), exclude: Iterable[str] = ()) -> str:
    """Hex SHA-256 over the names and contents of the files below a folder.

    Args:
        root: the folder; names are taken relative to it, with forward slashes.
        patterns: glob patterns of the files that count.
        exclude: relative path prefixes that do not count.
    """
    skipped = tuple(exclude)
    files = {path for pattern in patterns for path in root.rglob(pattern) if path.is_file()}
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in files):
        if "__pycache__" in name or name.startswith(skipped):
            continue
        digest.update(f"{name}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def code_sha256() -> str:
    """Hex SHA-256 of the code that can change a measured result: the package without the book and the command line."""
    return sha256_tree(Path(__file__).resolve().parents[1], exclude=("book/", "cli"))
