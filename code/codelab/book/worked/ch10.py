"""Chapter 10's tables and plot frames, reshaped from the records of GRPO and DPO runs.

Nothing is computed here but selection, order, units, sums of recorded seconds and means over seeds: scores, differences
and intervals are in the records. Not covered: the runs themselves (``codelab.train``).
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.worked.ch08 import setting

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
ARM = {
    "reward": "Reward",
    "loss": "Loss",
    "scale": "Advantage over the spread of",
    "beta": "β",
    "group": "Group",
    "rate": "Learning rate",
    "epsilon": "ε",
    "epsilon_high": "ε above",
    "iterations": "Steps a batch",
    "mask_truncated": "Cut answers in the loss",
}
_PARTS = ("sampling", "judging", "training")
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


def credit(run: Facts, arm: str) -> "pd.DataFrame":
    """Reward beside what it should stand for: a row a step, seed and curve, in per cent.

    Reward that rises while passes stay flat is reward for form, or hacking. Where a test is hidden from the prompt, the
    share that fails it is of the completions that pass the shown ones.
    """
    frame = steps(run, [arm])
    wanted = {"reward": "mean reward", "rung_passes": "passes", "hard_coded": "passes, written for the tests"}
    shown = frame.assign(hard_coded=frame["hard_coded"] * frame["rung_passes"])
    if "shown_only" in frame:
        wanted["shown_only"] = "fails the hidden test"
    long = shown[["step", "seed", *wanted]].melt(["step", "seed"], var_name="curve", value_name="share")
    return long.assign(percent=100 * long["share"].astype(float), curve=long["curve"].map(wanted))


def time(*runs: Facts) -> "pd.DataFrame":
    """Where a mean step's seconds go: a row an arm and part (``name``, ``variant``, ``seconds``), for a timeline."""
    import pandas as pd  # noqa: PLC0415

    rows = [
        {"name": part, "variant": arm, "seconds": float(group[f"{part}_seconds"].mean())}
        for run in runs
        for arm, group in steps(run).groupby("arm", sort=False)
        for part in _PARTS
    ]
    return pd.DataFrame(rows)


def judging(run: Facts) -> list[dict[str, Any]]:
    """The judge's share of the step, a row a unit, with the number of steps and a mean step's seconds."""
    return [
        {
            "unit": unit,
            "steps": run.number(f"{unit}.steps"),
            "step": run.number(f"{unit}.step_seconds"),
            **{part: run.number(f"{unit}.{part}_share") for part in _PARTS},
        }
        for unit in dict.fromkeys(units(run))
    ]


def settings(run: Facts) -> list[dict[str, Any]]:
    """What the arms say, a row a setting and a column an arm; settings that are equal everywhere come last."""
    arms: Mapping[str, Mapping[str, Any]] = run.record.recipe.values["arms"]
    rows = []
    for key, name in ARM.items():
        values = {arm: _plain(key, arm_values) for arm, arm_values in arms.items()}
        rows.append((len(set(values.values())) == 1, {"setting": name} | values))
    return [row for _, row in sorted(rows, key=lambda row: row[0])]


def differences(run: Facts, key: str, k: int = 1, rival: str | None = None) -> list[dict[str, Any]]:
    """Paired differences in percentage points, for :func:`codelab.book.figures.differences`.

    Args:
        run: a run with arms.
        key: the sampling setting, ``greedy`` or ``t0.6``.
        k: of pass@k.
        rival: another method's models instead of the start.
    """
    frame = run.frame("rivals" if rival else "comparison")
    frame = frame[(frame["setting"] == key) & (frame["k"] == k)]
    if rival:
        frame = frame[frame["rival"] == rival]
    points = {name: 100 * frame[name] for name in ("difference", "low", "high")}
    return [
        {"name": name, "value": value, "low": low, "high": high}
        for name, value, low, high in zip(
            frame["model"], points["difference"], points["low"], points["high"], strict=True
        )
    ]


def comparison(run: Facts, rival: str | None = None) -> list[dict[str, Any]]:
    """The table of paired differences, a row a model, setting and k, against the start or a rival."""
    frame = run.frame("rivals" if rival else "comparison")
    if rival:
        frame = frame[frame["rival"] == rival].rename(columns={"rival_score": "start"})
    return [
        {str(name): value for name, value in row.items()} | {"setting": f"{setting(row['setting'])}, pass@{row['k']}"}
        for row in frame.to_dict("records")
    ]


def prices(runs: Mapping[str, Facts], key: str = "t0.6", k: int = 1) -> list[dict[str, Any]]:
    """What each trained model cost and gained: minutes of preparation and training, points over the start.

    Preparation is what a method does before its first step: sampling the start, judging mutants, the reference's
    log-probabilities. Loading models, starting engines, looks at the policy and evaluations are left out on both sides.

    Args:
        runs: by the method's name.
        key: the sampling setting.
        k: of pass@k.
    """
    rows = []
    for method, run in runs.items():
        frame = run.frame("comparison")
        arms = run.record.recipe.values["arms"]
        for row in frame[(frame["setting"] == key) & (frame["k"] == k)].to_dict("records"):
            if row["model"] not in arms:
                continue
            mine = [unit for unit in units(run) if _parsed(unit)[0] == row["model"]]
            costs = [trained(run, unit) for unit in mine]
            before = preparation(run)
            rows.append(
                {
                    "name": method if len(arms) == 1 else f"{method}: {row['model']}",
                    "preparation": before / 60,
                    "training": sum(costs) / max(1, len(costs)) / 60,
                    "minutes": (before + sum(costs) / max(1, len(costs))) / 60,
                    "score": 100 * row["score"],
                    **{name: 100 * row[name] for name in ("difference", "low", "high")},
                    "seeds": row["seeds"],
                }
            )
    return rows


def preparation(run: Facts) -> float:
    """Seconds before the first training step of any arm, once a run: the start sampled and judged, mutants judged."""
    drawn = sum(sampled(run, "sample", name) for name in ("pool", "pairs"))
    return drawn + seconds(run, "prompts", None) + seconds(run, "execute", "mutants")


def sampled(run: Facts, name: str, variant: str) -> float:
    """Seconds of a stage that generates and judges.

    Of a continued run the stage's phase is the last sitting's alone; generating is summed over all of them.
    """
    return max(seconds(run, name, variant), seconds(run, "generate", variant))


def trained(run: Facts, unit: str) -> float:
    """Seconds that training a unit took, looks at the policy left out, scoring the reference's pairs counted in."""
    return _spent(run, unit) + seconds(run, "reference", unit)


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


def units(run: Facts) -> list[str]:
    """Every arm with every seed, as the record names them."""
    values = run.record.recipe.values
    return [f"{arm}-seed{seed}" for arm in values["arms"] for seed in values["seeds"]]


def complete(run: Facts) -> list[str]:
    """The units whose model was evaluated; of a stopped run not all are."""
    return [unit for unit in units(run) if f"{unit}.greedy.pass@1" in run.record.metrics]


def seconds(run: Facts, name: str, variant: str | None) -> float:
    """Seconds of a phase, 0 where the run has none."""
    return sum(phase.seconds for phase in run.record.phases if (phase.name, phase.variant) == (name, variant))


def _spent(run: Facts, unit: str) -> float:
    """Seconds of training at the unit's last step or look; the phase ``train`` of runs that logged none."""
    frame = run.steps()
    if "seconds" in frame and (found := frame[frame["arm"] == unit]["seconds"].dropna().astype(float)).size:
        return float(found.max())
    return seconds(run, "train", unit)


def _plain(key: str, arm: Mapping[str, Any]) -> str:
    value = arm.get(key)
    if value is None:
        return "as ε" if key == "epsilon_high" else "–"
    if key == "mask_truncated":
        return "no" if value else "yes"
    return f"{value:g}" if isinstance(value, float) else str(value)
