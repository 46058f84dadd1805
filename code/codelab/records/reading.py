"""Reading records back: one run, all runs, their steps and samples, and the check of their hashes.

Not covered: writing (``codelab.records.store``) and turning values into text or tables (``codelab.book``).
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import zstandard
from pydantic import ValidationError

from codelab.errors import UserError
from codelab.records.hashing import sha256_file
from codelab.records.schema import Record
from codelab.records.store import RECORD, SAMPLES, STEPS


def read_record(path: Path) -> Record:
    """Read one ``record.json`` (or the folder that holds it).

    Raises:
        UserError: it is missing, cut short, or not a record of this schema.
    """
    path = path / RECORD if path.is_dir() else path
    try:
        return Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(f"record {path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"record {path}: {where}: {first['msg']}") from error


def find_records(results: Path, recipe: str | None = None) -> Iterator[tuple[Path, Record]]:
    """All finished runs below ``results``, oldest first within a recipe.

    Raises:
        UserError: one of the records is damaged.
    """
    for path in sorted(results.glob(f"{recipe or '*'}/*/{RECORD}")):
        if not path.parent.name.startswith("."):
            yield path.parent, read_record(path)


def read_steps(folder: Path) -> list[dict[str, str]]:
    """Rows of a run's ``steps.csv`` as text; empty where the run has none."""
    path = folder / STEPS
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """Samples of a run; empty where the run has none.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / SAMPLES
    if not path.exists():
        return []
    try:
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            return [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]
    except (zstandard.ZstdError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: damaged ({error})") from error


def verify_files(folder: Path, record: Mapping[str, str] | Record) -> None:
    """Check the files beside a record against its hashes.

    Raises:
        UserError: one is missing or differs.
    """
    files = record.files if isinstance(record, Record) else record
    for name, expected in files.items():
        path = folder / name
        if not path.exists():
            raise UserError(f"{path}: named by its record but missing")
        if sha256_file(path) != expected:
            raise UserError(f"{path}: differs from the SHA-256 in its record")
