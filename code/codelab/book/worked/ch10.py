"""Steps of training, looks at the policy and the ladder of rungs, as frames from the records of GRPO and DPO runs.

Nothing is computed here but selection, order, units and means over seeds. Not covered: scores and their differences
(:mod:`codelab.book.worked.ch10_arms`), costs (:mod:`codelab.book.worked.ch10_costs`) and the runs themselves
(``codelab.train``).
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from codelab.book.facts import Facts

if TYPE_CHECKING:
    import pandas as pd

RUNGS = {
    "passes": "passes",
    "some": "some tests",
    "runs": "wrong values",
    "defines": "raises or hangs",
    "parses": "function missing",
    "nothing": "empty",
    "syntax": "syntax error",
    "fault": "sandbox fault",
}
"""The record's rungs from the top, and their names in the book."""
_UNIT = re.compile(r"(.+)-seed(\d+)")


def steps(run: Facts, arms: Sequence[str] | None = None, whole: bool = False) -> "pd.DataFrame":
    """The training steps: a row a step with its columns, and ``arm``, ``seed`` and ``minutes`` of training so far.

    Args:
        run: a GRPO run.
        arms: only these, in this order.
        whole: only trainings that reached their end; of a stopped run not all have.
    """
    return _rows(run, "step_seconds", arms, whole)


def looks(run: Facts, arms: Sequence[str] | None = None, whole: bool = False) -> "pd.DataFrame":
    """The looks at the policy: ``kl`` in nats a completion, ``percent`` of completions that pass, by ``minutes``.

    Args:
        run: a GRPO or DPO run.
        arms: only these, in this order.
        whole: only trainings that reached their end.
    """
    frame = _rows(run, "kl", arms, whole)
    return frame.assign(percent=100 * frame["pass@1"]) if "pass@1" in frame else frame


def ladder(run: Facts, arm: str, whole: bool = False) -> "pd.DataFrame":
    """How far completions of training came: a row a step and rung, in per cent of completions, mean over seeds.

    Args:
        run: a GRPO run.
        arm: of the run.
        whole: only trainings that reached their end.
    """
    frame = steps(run, [arm], whole)
    present = [name for name in RUNGS if frame[f"rung_{name}"].max() > 0]
    means = frame.groupby("step")[[f"rung_{name}" for name in present]].mean()
    long = means.rename(columns={f"rung_{name}": RUNGS[name] for name in present}).reset_index()
    return long.melt("step", var_name="rung", value_name="share").assign(percent=lambda rows: 100 * rows["share"])


def _rows(run: Facts, marker: str, arms: Sequence[str] | None, whole: bool) -> "pd.DataFrame":
    """Rows of ``steps.csv`` that have a value in the column ``marker``, without columns that are empty there."""
    frame = run.steps()
    if whole:
        frame = frame[frame["arm"].isin(complete(run))]
    frame = frame[frame[marker].notna()].dropna(axis="columns", how="all")
    parts = [_parsed(unit) for unit in frame["arm"]]
    frame = frame.assign(arm=[name for name, _ in parts], seed=[seed for _, seed in parts])
    frame = frame.assign(minutes=frame["seconds"].astype(float) / 60)
    if arms is not None:
        frame = frame[frame["arm"].isin(arms)]
        frame = frame.sort_values("arm", key=lambda column: column.map(list(arms).index), kind="stable")
    return frame.reset_index(drop=True)


def _parsed(unit: str) -> tuple[str, int]:
    match = _UNIT.fullmatch(unit)
    return (match[1], int(match[2])) if match else (unit, 0)


def complete(run: Facts) -> list[str]:
    """Arms with their seeds, as the record names them, whose model was evaluated; of a stopped run not all are."""
    values = run.record.recipe.values
    units = [f"{arm}-seed{seed}" for arm in values["arms"] for seed in values["seeds"]]
    return [unit for unit in units if f"{unit}.greedy.pass@1" in run.record.metrics]
