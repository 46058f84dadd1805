"""Tables over many runs, for the appendices: which runs there are, and how long each recipe took.

Not covered: what the runs measured (each chapter's own module).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codelab.book.facts import Facts
from codelab.errors import UserError
from codelab.records.schema import Phase

_COSTS = ("runs", "failed", "sittings", "device_seconds", "cpu_seconds")


def log(runs: list[Facts]) -> list[dict[str, Any]]:
    """A row a run, in the order given: link, state, device, minutes, and what it was for or how it ended."""
    rows = []
    for run in runs:
        record = run.record
        ended = "" if record.state == "ok" else f" ({record.state}: {_first_line(record.error)})"
        rows.append(
            {
                "day": record.started[:10],
                "run": run.link(),
                "state": record.state,
                "device": run.device,
                "seconds": record.seconds,
                "resumed": record.resumed,
                "title": f"{record.title}{ended}",
            }
        )
    return rows


def totals(runs: list[Facts]) -> dict[str, float]:
    """How many runs there are, how many failed or were stopped, and the seconds with and without an accelerator."""
    return {
        "runs": len(runs),
        "failed": sum(run.record.state == "failed" for run in runs),
        "stopped": sum(run.record.state == "stopped" for run in runs),
        "gpu": sum(run.record.seconds for run in runs if run.record.device),
        "cpu": sum(run.record.seconds for run in runs if not run.record.device),
    }


def cost(runs: list[Facts], question: int | None = None) -> list[dict[str, Any]]:
    """What a question cost: a row a recipe with its runs, then a last row with the sums.

    Device time counts every accelerator that a run worked with, for as long as the run worked: loading, compiling and
    judging too. Failed runs count; pauses between sittings do not.

    Args:
        runs: all runs, in any order.
        question: only those of this question; of all by default.

    Returns:
        ``recipe``, ``runs``, ``failed``, ``sittings``, ``device_seconds`` (zero without an accelerator) and
        ``cpu_seconds``. Empty where there is no such run.
    """
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        record = run.record
        if question not in (None, record.recipe.values.get("question")):
            continue
        name = f"`{record.recipe.name}`"
        row = found.setdefault(name, {"recipe": name} | dict.fromkeys(_COSTS, 0))
        used = record.metrics["devices"].value if "devices" in record.metrics else 1
        row["runs"] += 1
        row["failed"] += record.state == "failed"
        row["sittings"] += record.resumed + 1
        row["device_seconds" if record.device else "cpu_seconds"] += record.seconds * (used if record.device else 1)
    rows = sorted(found.values(), key=lambda row: (-row["device_seconds"], -row["cpu_seconds"]))
    return [*rows, {"recipe": "all"} | {key: sum(row[key] for row in rows) for key in _COSTS}] if rows else []


def stages(runs: list[Facts], parts: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """What the parts of a piece of work cost: a row a part, then a last row with the sums.

    Device time is that of :func:`cost`.

    Args:
        runs: all runs, the oldest first.
        parts: the names of each part's recipes.

    Returns:
        ``name``, ``runs``, ``failed``, ``device_seconds`` of all its runs, and ``again``: of the newest successful run
        of each recipe alone, which is what doing it once more takes.

    Raises:
        UserError: a recipe has no run.
    """
    rows: list[dict[str, Any]] = []
    for name, recipes in parts.items():
        members = {recipe: [run for run in runs if run.record.recipe.name == recipe] for recipe in recipes}
        if absent := [recipe for recipe, made in members.items() if not made]:
            raise UserError(f"results/{absent[0]}: no run yet, and {name!r} counts it")
        made = cost([run for each in members.values() for run in each])[-1]
        good = [run for each in members.values() for run in [run for run in each if run.record.state == "ok"][-1:]]
        again = cost(good)[-1]["device_seconds"] if good else 0
        row = {"name": name, "runs": made["runs"], "failed": made["failed"]}
        rows.append(row | {"device_seconds": made["device_seconds"], "again": again})
    return [*rows, {"name": "All"} | {key: sum(row[key] for row in rows) for key in rows[0] if key != "name"}]


def times(runs: list[Facts]) -> list[dict[str, Any]]:
    """A row a recipe and device: the newest successful run's link, its time beside what was expected, its memory.

    ``gpu`` is the run's own: what the driver counts holds other programs on the device too.
    """
    newest = {(run.record.recipe.name, run.device): run for run in runs if run.record.state == "ok"}
    return [
        {
            "recipe": f"`recipes/{name}.yaml`",
            "run": run.link(),
            "device": device,
            "expected": float(run.record.recipe.values["hardware"]["minutes"]) * 60,
            "taken": run.record.seconds,
            "cpu": max((phase.cpu_peak for phase in run.record.phases if phase.cpu_peak is not None), default=None),
            "gpu": max((_own(phase) for phase in run.record.phases), default=0) or None,
        }
        for (name, device), run in sorted(newest.items())
    ]


def _own(phase: Phase) -> int:
    return (phase.gpu_allocated or 0) + (phase.gpu_reserved or 0)


def _first_line(error: str | None) -> str:
    return (error or "no reason recorded").strip().splitlines()[0]
