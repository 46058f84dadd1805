"""A run within a run: the samples of one model of an experiment that samples and evaluates several.

Rows lie in the run's work folder while it works, so that each stage continues by itself after a kill; at the end
:func:`unload` puts all of them into the record. Metrics and tables go to the run at once, under the shelf's name. Not
covered: training steps, which the run keeps itself.
"""

from collections.abc import Sequence
from typing import Any

from codelab.records import Phase, RowLog, Run


class Shelf(RowLog):
    """Samples and finished chunks (its steps) of one stage.

    Args:
        run: the run in progress.
        name: of the stage or the model; starts the names of its metrics and tables.
    """

    def __init__(self, run: Run, name: str) -> None:
        self.run, self.name = run, name
        super().__init__(run.work / "shelves" / name)
        self.folder.mkdir(parents=True, exist_ok=True)

    def time_is_up(self, reserve: float = 0.0) -> bool:
        """See :meth:`codelab.records.Run.time_is_up`."""
        return self.run.time_is_up(reserve)

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
