"""Rows that a working run appends: steps and samples, one JSON line each, whole again after a kill.

Not covered: what a run keeps besides rows, and packing them when it ends (``codelab.records.store``).
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args

from codelab.records.files import append_line, mend, read_lines, write_atomic

RowKind = Literal["steps", "samples"]


class RowLog:
    """Steps and samples of one folder, each on disk when the call that adds it returns.

    A last line that a kill cut short is dropped when the log is opened, so that the next row starts a line.

    Args:
        folder: where ``steps.jsonl`` and ``samples.jsonl`` lie; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for kind in get_args(RowKind):
            mend(self.rows(kind))

    def rows(self, kind: RowKind) -> Path:
        """The file that holds the rows of one kind; absent until the first one is added."""
        return self.folder / f"{kind}.jsonl"

    def step(self, **values: float | int | str) -> None:
        """Append one step; a new column may appear at any time."""
        append_line(self.rows("steps"), values)

    def sample(self, **values: Any) -> None:
        """Append one sample (a completion with its verdict, say)."""
        append_line(self.rows("samples"), values)

    def steps_so_far(self) -> list[dict[str, Any]]:
        """Steps already written, by this process or by the ones that it continues."""
        return read_lines(self.rows("steps"))

    def samples_so_far(self) -> list[dict[str, Any]]:
        """Samples already written, by this process or by the ones that it continues."""
        return read_lines(self.rows("samples"))

    def truncate(self, name: RowKind, keep: int) -> None:
        """Drop all but the first ``keep`` rows, for continuing from a checkpoint older than the last row."""
        rows = read_lines(self.rows(name))[:keep]
        write_atomic(self.rows(name), "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
