"""What GRPO's judge takes of its steps, and what a model trained by GRPO or DPO takes in all: chapter 10's costs.

Nothing is computed but means, extremes and shares over steps, and counts that follow from the recipes; a gain is the
record's. Not covered: scores (:mod:`codelab.book.worked.contest`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codelab.book.facts import Facts
from codelab.book.formats import interval
from codelab.book.worked import ch10
from codelab.errors import UserError


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
