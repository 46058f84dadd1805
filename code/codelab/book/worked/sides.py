"""Two runs of one recipe with other software, side by side: seconds and memory by part, and the loss of every step.

Only models that both runs trained or asked are counted, so that neither side does more work. Medians, extremes, ratios
and one division are all the arithmetic. Not covered: scores, which the later run has paired itself
(``codelab.train.counterparts``).
"""

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import interval
from codelab.book.worked.payback import paid_from
from codelab.errors import UserError
from codelab.records import Phase

if TYPE_CHECKING:
    import pandas as pd

PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "start": ("start sampling", ("load", "warm-up")),
    "generate": ("generate", ("generate",)),
    "execute": ("judge", ("execute",)),
    "import": ("import trainer", ("import",)),
    "setup": ("set up trainer", ("load_policy", "reference")),
    "train": ("train", ("train",)),
    "save": ("save", ("save",)),
}
"""Parts of a run as the book calls them, and the phases that they are made of."""
STAGES = {"sampling": ("load", "warm-up", "evaluate"), "training": ("load_policy", "reference", "train")}
_MEMORY = ("cpu_peak", "gpu_allocated", "gpu_device", "gpu_reserved")


def parts(there: Facts, here: Facts) -> list[dict[str, Any]]:
    """A row a part that both runs recorded: median seconds a model on either side, extremes as text, and the ratio.

    Args:
        there: the run that is compared with.
        here: the run with other software.
    """
    rows = []
    for key, (label, _) in PARTS.items():
        left, right = _seconds(there, key), _seconds(here, key)
        models = [model for model in left if model in right]
        if not models:
            continue
        before, after = [left[model] for model in models], [right[model] for model in models]
        rows.append({
            "part": key, "name": label, "models": len(models),
            "there": median(before), "there_range": interval(min(before), max(before), ",.1f"),
            "here": median(after), "here_range": interval(min(after), max(after), ",.1f"),
            "ratio": median(after) / median(before) if median(before) else None,
            "clear": max(after) < min(before) or max(before) < min(after),
        })  # fmt: skip
    return rows


def seconds(there: Facts, here: Facts, part: str) -> tuple[float, float]:
    """Median seconds a model of one part on either side.

    Raises:
        UserError: no model has that part in both runs.
    """
    for row in parts(there, here):
        if row["part"] == part:
            return row["there"], row["here"]
    raise UserError(f"{here.folder}: no model with part {part!r} in this run and in {there.folder.name}")


def bars(runs: Mapping[str, Facts]) -> "pd.DataFrame":
    """Seconds of all models that every run has, summed by part: a frame for ``codelab.book.figures.timeline``.

    Args:
        runs: by the name that each is shown under.
    """
    import pandas as pd  # noqa: PLC0415

    rows = []
    for key, (label, _) in PARTS.items():
        found = {name: one for name, run in runs.items() if (one := _seconds(run, key))}
        shared = set.intersection(*map(set, found.values())) if found else set()
        for name, one in found.items():
            rows.append({"variant": name, "name": label, "seconds": sum(one[model] for model in shared)})
    return pd.DataFrame(rows, columns=["variant", "name", "seconds"])


def memory(runs: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """Largest peaks by stage (sampling, training) and run, over the models that every run has.

    Args:
        runs: by the name that each is shown under.
    """
    rows = []
    for stage, names in STAGES.items():
        found = {name: [p for p in run.record.phases if p.name in names] for name, run in runs.items()}
        shared = set.intersection(*({phase.variant for phase in phases} for phases in found.values()))
        for name, phases in found.items():
            mine = [phase for phase in phases if phase.variant in shared]
            rows.append({"stage": stage, "name": name} | {column: _peak(mine, column) for column in _MEMORY})
    return rows


def paid_after(there: Facts, here: Facts) -> float | None:
    """Completions of one model from which the later run's engine is done first, its longer start counted; None: never.

    Both engines answered the same tasks with the same stop rules, so that a second has the same work in it.

    Raises:
        UserError: the runs share no evaluated model.
    """
    start, generate = seconds(there, here, "start"), seconds(there, here, "generate")
    before, after = ({"start": start[side], "rate": completions(here) / generate[side]} for side in (0, 1))
    return paid_from(before, after)


def completions(run: Facts, model: str = "start") -> int:
    """Completions that one model of a run wrote on the evaluated split."""
    ends = (".tokens", ".generated_tokens")
    found = [
        metric.n or 0
        for name, metric in run.record.metrics.items()
        if name.startswith(f"{model}.") and name.endswith(ends[0]) and not name.endswith(ends[1])
    ]
    if not sum(found):
        raise UserError(f"{run.folder}: no completions of {model!r}")
    return sum(found)


def losses(runs: Mapping[str, Facts], unit: str) -> "pd.DataFrame":
    """The loss of every step of one trained model: ``name``, ``step`` and ``loss``.

    Args:
        runs: by the name that each is shown under.
        unit: arm and seed, ``dpo-seed0``.
    """
    import pandas as pd  # noqa: PLC0415

    kept = []
    for name, run in runs.items():
        frame = run.steps()
        frame = frame[(frame["arm"] == unit) & frame["loss"].notna()]
        kept.append(frame.assign(name=name)[["name", "step", "loss"]].astype({"loss": float}))
    return pd.concat(kept, ignore_index=True)


def loss_gap(there: Facts, here: Facts, unit: str, steps: int | None = None) -> float:
    """Largest difference between two runs' losses of one model, over the first so many steps or all of them.

    Raises:
        UserError: the runs have no step of that model in common.
    """
    frame = losses({"there": there, "here": here}, unit).pivot_table("loss", "step", "name").dropna()
    frame = frame[frame.index <= steps] if steps else frame
    if frame.shape != (len(frame), 2) or frame.empty:
        raise UserError(f"{here.folder}: no step of {unit!r} in common with {there.folder.name}")
    return float((frame["here"] - frame["there"]).abs().max())


def alone(*runs: Facts) -> bool:
    """Whether no run says that it shared its GPU, after which its seconds compare with nothing."""
    return not any("shared its gpu" in note.lower() for run in runs for note in run.record.notes)


def _seconds(run: Facts, part: str) -> dict[str, float]:
    names = PARTS[part][1]
    found: dict[str, float] = {}
    for phase in run.record.phases:
        if phase.name in names and phase.variant is not None:
            found[phase.variant] = found.get(phase.variant, 0.0) + phase.seconds
    return found


def _peak(phases: list[Phase], column: str) -> int | None:
    return max((value for phase in phases if (value := getattr(phase, column))), default=None)
