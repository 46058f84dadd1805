"""What the records say, for chapters: the newest run of a recipe, its numbers as text, its tables and its origin.

A chapter names recipe and device literally (``facts.latest("q7-quantize", device="H100")``): the freshness check finds
the run from the text alone. Not covered: arithmetic on measurements, which belongs in the experiment that made them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codelab.book.formats import Markdown, interval, show
from codelab.errors import UserError
from codelab.records import Metric, Phase, Record, State, find_records, read_samples, read_steps

if TYPE_CHECKING:
    import pandas as pd


def root() -> Path:
    """The folder of the book: ``$CODELAB_ROOT``, else the nearest one above that holds ``_quarto.yml``.

    Raises:
        UserError: there is none.
    """
    if named := os.environ.get("CODELAB_ROOT"):
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "_quarto.yml").exists():
            return folder
    raise UserError(f"{here}: no _quarto.yml here or above; run this inside the book's folder")


def on_device(record: Record, device: str | None) -> bool:
    """Whether a run's device answers to a name: part of the driver's name, or ``cpu`` for a run without accelerator."""
    if device is None:
        return True
    name = record.device.name if record.device else "cpu"
    return device.lower() in name.lower()


def history(recipe: str | None = None) -> list["Facts"]:
    """All finished runs of a recipe, or of all recipes, failed ones too, oldest first."""
    found = [Facts(folder, record) for folder, record in find_records(root() / "results", recipe)]
    return sorted(found, key=lambda run: (run.record.started, run.record.recipe.name))


def latest(recipe: str, device: str | None = None) -> "Facts":
    """The newest successful run of a recipe, on a device whose name contains ``device``.

    Raises:
        UserError: there is none yet.
    """
    run = _newest(recipe, device, "ok")
    if run is None:
        where = f" on {device}" if device else ""
        raise UserError(
            f"results/{recipe}: no successful run{where} yet; make one with `codelab run recipes/{recipe}.yaml`"
        )
    return run


def stopped(recipe: str, device: str | None = None) -> "Facts":
    """The newest run of a recipe that was cut off: what it had measured until then; chapters say so.

    Raises:
        UserError: there is none.
    """
    run = _newest(recipe, device, "stopped")
    if run is None:
        raise UserError(f"results/{recipe}: no stopped run{f' on {device}' if device else ''}")
    return run


def _newest(recipe: str, device: str | None, state: State) -> "Facts | None":
    runs = [run for run in history(recipe) if run.record.state == state and on_device(run.record, device)]
    return runs[-1] if runs else None


def provenance(*runs: "Facts") -> Markdown:
    """Where the numbers of several runs come from; runs with commit, code, device and day in common share a line."""
    shared: dict[str, list[Facts]] = {}
    for run in runs:
        shared.setdefault(run.origin(), []).append(run)
    lines = []
    for origin, members in shared.items():
        *first, last = [run.link() for run in members]
        names = f"Records {', '.join(first)} and {last}" if first else f"Record {last}"
        lines.append(f"{names}, {origin}.")
    return Markdown(" ".join(lines))


class Facts:
    """One run, for reading.

    Args:
        folder: the run's folder.
        record: what ``record.json`` in it says.
    """

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder = folder
        self.record = record

    def metric(self, name: str) -> Metric:
        """One metric.

        Raises:
            UserError: the record has none of that name.
        """
        metric: Metric = self._pick(self.record.metrics, name, "metric")
        return metric

    def number(self, name: str) -> float:
        """A metric's bare value, for plots and comparisons, in bytes, seconds or shares."""
        return self.metric(name).value

    def value(self, name: str, fmt: str = "") -> Markdown:
        """A metric's value as text with its unit; see :func:`codelab.book.formats.show`."""
        metric = self.metric(name)
        return show(metric.value, fmt, metric.unit)

    def ci(self, name: str, fmt: str = "") -> Markdown:
        """A metric's value and interval: ``12.3 % (95 % CI 10.1–14.2 %)``.

        Raises:
            UserError: the metric has no interval.
        """
        metric = self.metric(name)
        if metric.low is None or metric.high is None:
            raise UserError(f"{self.folder}: metric {name!r} has no interval")
        level = show(metric.level or 0.95, ".0f %", "share")
        ends = interval(metric.low, metric.high, fmt, metric.unit)
        return Markdown(f"{show(metric.value, fmt, metric.unit)} ({level} CI {ends})")

    def phase(self, name: str, variant: str | None = None) -> Phase:
        """One phase, of one variant where the run has several.

        Raises:
            UserError: there is no such phase.
        """
        for phase in self.record.phases:
            if phase.name == name and variant in (None, phase.variant):
                return phase
        known = sorted(
            {f"{phase.name}/{phase.variant}" if phase.variant else phase.name for phase in self.record.phases}
        )
        wanted = f"{name}/{variant}" if variant else name
        raise UserError(f"{self.folder}: no phase {wanted!r}; there are {', '.join(known) or 'none'}")

    def phases(self) -> "pd.DataFrame":
        """All phases: one row each, columns as in :class:`~codelab.records.Phase`."""
        return self._frame([phase.model_dump() for phase in self.record.phases])

    def frame(self, table: str) -> "pd.DataFrame":
        """One of the record's tables.

        Raises:
            UserError: the record has none of that name.
        """
        return self._frame(self._pick(self.record.tables, table, "table"))

    def steps(self) -> "pd.DataFrame":
        """The logged steps, numbers as numbers; empty where the run logged none."""
        import pandas as pd  # noqa: PLC0415

        frame = self._frame(read_steps(self.folder)).replace("", None)
        for column in frame.columns:
            numbers = pd.to_numeric(frame[column], errors="coerce")
            if numbers.notna().sum() == frame[column].notna().sum():
                frame[column] = numbers
        return frame

    def samples(self) -> list[dict[str, Any]]:
        """Every sample, in the order in which it was made."""
        return read_samples(self.folder)

    @property
    def device(self) -> str:
        """What the run ran on: the accelerator, or the processor."""
        device = self.record.device
        if device is None:
            return self.record.environment.cpu
        return device.name if device.count == 1 else f"{device.count} × {device.name}"

    def link(self) -> Markdown:
        """The run's name as a Markdown link to its record, which the build puts beside the pages."""
        name = f"{self.record.recipe.name}/{self.record.run}"
        return Markdown(f"[`{name}`](../results/{name}/record.json)")

    def provenance(self) -> Markdown:
        """One Markdown line that says which record, code, device and day the numbers come from."""
        return provenance(self)

    def origin(self) -> str:
        """Commit, code, device and day, which runs of one sitting share."""
        code = self.record.code
        commit = (
            f"commit `{code.commit[:10]}`{' (modified)' if code.dirty else ''}" if code.commit else "commit unknown"
        )
        return f"{commit}, code `{code.sha256[:10]}`, {self.device}, {self.record.started[:10]}"

    def _pick(self, values: Mapping[str, Any], name: str, what: str) -> Any:
        if name in values:
            return values[name]
        known = ", ".join(sorted(values)[:12]) or "none"
        raise UserError(f"{self.folder}: no {what} {name!r}; there are {known}")

    @staticmethod
    def _frame(rows: list[dict[str, Any]] | list[dict[str, str]]) -> "pd.DataFrame":
        import pandas as pd  # noqa: PLC0415

        return pd.DataFrame(rows)
