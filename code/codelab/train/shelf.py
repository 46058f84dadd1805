"""A run within a run: the samples of one model of an experiment that samples and evaluates several.

Rows lie in the run's work folder while it works, so that each stage continues by itself after a kill; at the end
:func:`unload` puts all of them into the record. Metrics and tables go to the run at once, under the shelf's name. Not
covered: training steps, which the run keeps itself.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal

from codelab.records import Phase, Run
from codelab.records.files import append_line, read_lines, write_atomic


class Shelf:
    """Samples and finished chunks of one stage.

    Args:
        run: the run in progress.
        name: of the stage or the model; starts the names of its metrics and tables.
    """

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name = run, name
        self.folder = run.work / "shelves" / name
        self.folder.mkdir(parents=True, exist_ok=True)

    def time_is_up(self, reserve: float = 0.0) -> bool:
        """See :meth:`codelab.records.Run.time_is_up`."""
        return self.run.time_is_up(reserve)

    def step(self, **values: float | int | str) -> None:
        """Append one finished chunk."""
        append_line(self.folder / "steps.jsonl", values)

    def sample(self, **values: Any) -> None:
        """Append one sample."""
        append_line(self.folder / "samples.jsonl", values)

    def steps_so_far(self) -> list[dict[str, Any]]:
        """Chunks already written."""
        return read_lines(self.folder / "steps.jsonl")

    def samples_so_far(self) -> list[dict[str, Any]]:
        """Samples already written."""
        return read_lines(self.folder / "samples.jsonl")

    def truncate(self, name: Literal["steps", "samples"], keep: int) -> None:
        """Drop all but the first ``keep`` rows."""
        path = self.folder / f"{name}.jsonl"
        rows = read_lines(path)[:keep]
        write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())

    def metric(self, name: str, value: float, **more: Any) -> None:
        """Add a metric under the shelf's name."""
        self.run.metric(f"{self.name}.{name}", value, **more)

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Add a table under the shelf's name."""
        self.run.table(f"{self.name}.{name}", rows)

    def phases(self) -> None:
        """Seconds of generation and execution, summed over chunks and so over every process that worked on them."""
        steps = self.steps_so_far()
        for name in ("generate", "execute"):
            seconds = sum(float(step[f"{name}_seconds"]) for step in steps)
            self.run.phase(Phase(name=name, seconds=seconds, variant=self.name))
        tokens = sum(int(step["tokens"]) for step in steps)
        self.metric("generated_tokens", tokens, unit="tokens")


def unload(run: Run, shelves: Sequence[Shelf]) -> None:
    """Write the samples of all shelves into the run, each with its shelf's name as ``variant``; may be repeated."""
    run.truncate("samples", 0)
    for shelf in shelves:
        for row in shelf.samples_so_far():
            run.sample(variant=shelf.name, **row)
