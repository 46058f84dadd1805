"""What GRPO and DPO cost, side by side, and how GRPO's steps began and ended: chapter 10's tables of costs.

Nothing is computed but sums of a stage's recorded phases, means over units and steps, shares of judging in single steps
and maxima of memory; a gain is the record's. Not covered: scores (:mod:`codelab.book.worked.contest`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import interval, show
from codelab.book.worked import ch10
from codelab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

QUANTITIES = {
    "reward": ("Mean reward", ".3f", ""),
    "reward_spread": ("Spread of rewards", ".3f", ""),
    "flat_groups": ("Groups without variance", ".1f %", "share"),
    "rung_passes": ("Completions that pass", ".1f %", "share"),
    "kl_token": ("KL by k3, nats a token", ".4f", ""),
    "kl_token_exact": ("KL of the next token, exact, nats", ".4f", ""),
    "entropy": ("Entropy, nats a token", ".2f", ""),
    "length": ("Tokens a completion", ".0f", ""),
    "truncated": ("Cut by the length limit", ".1f %", "share"),
    "ratio_clipped": ("Ratios clipped", ".1f %", "share"),
    "engine_difference": ("Two engines' log-probabilities apart, nats a token", ".4f", ""),
}
"""Columns of ``steps.csv``, what the book calls them, and how it writes them."""
MEMORY = {
    ("sample", "gpu_device"): "Sampling the start: device",
    ("train", "cpu_peak"): "Training: host, all processes",
    ("train", "gpu_allocated"): "Training: PyTorch's allocator",
    ("train", "gpu_device"): "Training: device, as the driver counts",
    ("evaluate", "gpu_device"): "Evaluating: device",
}
"""Phases, their columns, and what the book calls the two."""


def stages(runs: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """Seconds of each stage: a row a stage and a column a run; what several units do is the mean over them.

    ``Training`` is the steps alone, at the price that decides when a budget is spent. Looks at the policy are apart; of
    a continued run they are the last sitting's.

    Args:
        runs: by the method's name.
    """
    rows: dict[str, dict[str, Any]] = {}
    for method, run in runs.items():
        units = ch10.units(run)
        ready = ("load_policy", "set_up")
        found = {
            "Engine and start loaded, once": sum(ch10.seconds(run, name, "start") for name in ("load", "warm-up")),
            "Start sampled and judged, once": ch10.preparation(run),
            "Trainer made ready": _mean([sum(ch10.seconds(run, name, unit) for name in ready) for unit in units]),
            "Training": _mean([ch10.trained(run, unit) for unit in units]),
            "Looks at the policy": _mean([ch10.seconds(run, "watch", unit) for unit in units]),
            "One model evaluated": _mean([ch10.sampled(run, "evaluate", unit) for unit in units]),
        }
        for stage, value in found.items():
            rows.setdefault(stage, {"stage": stage})[method] = value
    return list(rows.values())


def memory(runs: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """Peaks in bytes: a row a phase and a way of counting, a column a run; the last row is the engine's reservation.

    Args:
        runs: by the method's name.
    """
    rows: list[dict[str, Any]] = [{"what": text} for text in MEMORY.values()]
    rows.append({"what": "Set aside by vLLM for its cache, by setting"})
    for method, run in runs.items():
        for row, (phase, column) in zip(rows, MEMORY, strict=False):
            row[method] = _peak(run, phase, column)
        rows[-1][method] = _peak(run, "load", "gpu_reserved")
    return rows


def ends(run: Facts, arm: str, width: int = 5) -> list[dict[str, str]]:
    """What every step records, its mean over the first and over the last steps of all seeds, as text.

    Args:
        run: a GRPO run.
        arm: of the run.
        width: steps at either end.
    """
    frame = ch10.steps(run, [arm])
    first = frame[frame["step"] <= width]
    last = frame[frame["step"] > frame.groupby("seed")["step"].transform("max") - width]
    return [
        {"quantity": name, **{key: str(show(float(part[column].mean()), fmt, unit))
                              for key, part in (("first", first), ("last", last))}}
        for column, (name, fmt, unit) in QUANTITIES.items()
        if column in frame
    ]  # fmt: skip


def ablation(run: Facts, arms: Sequence[str], column: str, factor: float = 1.0, window: int = 3) -> "pd.DataFrame":
    """One column of the steps over minutes of training: ``arm``, ``minutes``, ``value``, the mean of ``window`` steps.

    Args:
        run: a GRPO run.
        arms: in the order of the plot.
        column: of ``steps.csv``.
        factor: 100 for a share in per cent.
        window: steps that each value is the mean of, itself the last; fewer at the beginning.
    """
    frame = ch10.steps(run, arms)
    means = frame.groupby(["arm", "seed"], sort=False)[column].transform(
        lambda values: values.astype(float).rolling(window, min_periods=1).mean()
    )
    return frame[["arm", "seed", "step", "minutes"]].assign(value=factor * means)


def outcomes(run: Facts, key: str, k: int = 1, width: int = 5) -> list[dict[str, Any]]:
    """A row an arm: steps that its seconds bought, what its last steps were like, and its gain on the test split.

    Args:
        run: a GRPO run.
        key: the sampling setting.
        k: of pass@k.
        width: last steps that are averaged.
    """
    scores = {row["name"]: row for row in ch10.differences(run, key, k)}
    rows = []
    for arm in run.record.recipe.values["arms"]:
        frame = ch10.steps(run, [arm])
        last = frame[frame["step"] > frame.groupby("seed")["step"].transform("max") - width]
        rows.append(
            {
                "arm": arm,
                "steps": int(frame.groupby("seed")["step"].max().mean()),
                "flat": float(frame["flat_groups"].mean()),
                "passes": float(last["rung_passes"].mean()),
                "kl": float(last["kl_token_exact"].mean()),
                "entropy": float(last["entropy"].mean()),
                **{name: scores[arm][name] for name in ("value", "low", "high")},
            }
        )
    return rows


def judge(runs: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """Seconds and shares of judging: a row a complete training.

    Args:
        runs: by what the book calls their trainer.

    Returns:
        ``trainer``, ``unit``, ``step`` (mean seconds), ``judging``, ``sampling``, ``training`` (shares of all seconds),
        ``seconds`` (mean of judging), ``most`` (largest share of judging in one step), ``least`` (shortest step).
    """
    rows = []
    for trainer, run in runs.items():
        frame = ch10.steps(run, whole=True)
        for (arm, seed), mine in frame.groupby(["arm", "seed"], sort=False):
            unit = f"{arm}-seed{seed}"
            rows.append(
                {
                    "trainer": trainer,
                    "unit": unit,
                    "step": run.number(f"{unit}.step_seconds"),
                    **{part: run.number(f"{unit}.{part}_share") for part in ("judging", "sampling", "training")},
                    "seconds": float(mine["judging_seconds"].mean()),
                    "most": float((mine["judging_seconds"] / mine["step_seconds"]).max()),
                    "least": float(mine["step_seconds"].min()),
                }
            )
    return rows


def work(
    grpo: tuple[Facts, Mapping[str, str]], pairs: Sequence[tuple[Facts, str, str]], origin: Facts
) -> list[dict[str, Any]]:
    """What one trained model takes by settings and counts, and what it gains: a row an arm.

    Args:
        grpo: a GRPO run whose prompts were filtered by samples of the start, and what the book calls its arms.
        pairs: DPO runs, each with its arm and what the book calls it.
        origin: the run that drew the samples of their pairs.

    Returns:
        ``name``; completions ``before`` training, once for all seeds, and ``during`` it; optimiser ``steps``;
        ``texts`` that gradients were taken of, a pair counting as two unless the chosen side alone has a loss; ``gain``
        in sampled pass@1 (a share) and its interval ``ci`` as text.
    """
    run, arms = grpo
    training, pool = run.record.recipe.values["training"], run.frame("pool")
    during = training["steps"] * training["completions"]
    asked = int(pool[pool["source"] == "all"]["tasks"].sum()) * run.record.recipe.values["prompts"]["filter"]["samples"]
    drawn = int(origin.frame("drawn")["samples"].sum())
    rows = [(run, arm, name, asked, during, training["steps"], during) for arm, name in arms.items()]
    for one, arm, name in pairs:
        mine = one.record.recipe.values
        sides = 1 if mine["arms"][arm]["loss"] == ["sft"] else 2
        steps = mine["training"]["steps"]
        rows.append((one, arm, name, drawn, 0, steps, sides * steps * mine["training"]["batch"]))
    return [
        dict(zip(("name", "before", "during", "steps", "texts"), counts, strict=True)) | _gain(one, arm)
        for one, arm, *counts in rows
    ]


def _gain(run: Facts, arm: str, quantity: str = "t0.6.pass@1.difference") -> dict[str, Any]:
    metric = run.metric(f"{arm}.{quantity}")
    if metric.low is None or metric.high is None:
        raise UserError(f"{run.folder}: {arm}.{quantity} has no interval")
    return {"gain": metric.value, "ci": str(interval(100 * metric.low, 100 * metric.high, "+.1f"))}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def _peak(run: Facts, phase: str, column: str) -> int | None:
    found = [getattr(one, column) for one in run.record.phases if one.name == phase]
    known = [value for value in found if value is not None]
    return max(known) if known else None
