"""What a DPO run was trained on and how the policy moved meanwhile, for chapters 5 and 8.

Log-ratios are rewards over β, in nats a completion, whatever the loss: trl logs rewards as β times the log-ratio of the
whole completion for every loss type. Nothing else is computed but means over equal stretches of steps. Not covered:
what the trained models score (:mod:`codelab.book.worked.contest`) and the runs themselves (``codelab.train``).
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import interval
from codelab.book.worked.ch08 import CLASSES
from codelab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

SIDES = {
    "own": "its own sample",
    "reference": "reference",
    "mutant": "mutant of the reference",
    "all": "all",
}
POINTS = 30


def pairs(run: Facts) -> list[dict[str, Any]]:
    """The table of pairs with the book's names, a row a kind of pair, the sum last; lengths in tokens."""
    return [
        {str(key): value for key, value in row.items()}
        | {
            "chosen": SIDES[row["chosen"]],
            "rejected": SIDES[row["rejected"]],
            "failure": CLASSES.get(row["failure"], row["failure"]),
        }
        for row in run.frame("pairs").to_dict("records")
    ]


def share_of_pairs(run: Facts, chosen: str) -> float:
    """The share of pairs whose chosen side is of one source, ``own`` or ``reference``."""
    rows = run.frame("pairs").to_dict("records")
    return float(sum(row["pairs"] for row in rows if row["chosen"] == chosen) / max(1, rows[-1]["pairs"]))


def candidates(run: Facts) -> list[dict[str, Any]]:
    """The judged programs that pairs were chosen from: a row an outcome, a column a source, and the sums."""
    count: dict[tuple[str, str], int] = {}
    for row in run.frame("candidates").to_dict("records"):
        count[row["failure"], row["source"]] = int(row["programs"])
    present = [name for name in CLASSES if any(failure == name for failure, _ in count)]
    columns = {"own": "own", "reference": "reference", "mutant": "mutant"}
    rows: list[dict[str, Any]] = [
        {"outcome": CLASSES[name]} | {label: count.get((name, key), 0) for key, label in columns.items()}
        for name in present
    ]
    return [*rows, {"outcome": "all"} | {label: sum(row[label] for row in rows) for label in columns.values()}]


def name(run: Facts, arm: str) -> str:
    """An arm as the book calls it: ``β = 0.1``, ``IPO, τ = 1``; with its rate where the run tries several."""
    objectives: Mapping[str, Mapping[str, Any]] = run.record.recipe.values["arms"]
    several = len({float(each["rate"]) for each in objectives.values()}) > 1
    return loss(run, arm) + (f", rate {_power(float(objectives[arm]['rate']))}" if several else "")


def loss(run: Facts, arm: str) -> str:
    """An arm's loss alone: ``β = 0.1``, ``β = 0.1, likelihood term``, ``IPO, τ = 1``."""
    objective: Mapping[str, Any] = run.record.recipe.values["arms"][arm]
    if "ipo" in objective["loss"]:
        return f"IPO, τ = {objective['beta']:g}"
    more = ", likelihood term" if "sft" in objective["loss"] else ""
    return f"β = {objective['beta']:g}{more}"


def ratios(run: Facts, arms: Sequence[str] | None = None, points: int = POINTS) -> "pd.DataFrame":
    """How likely the two sides of a batch became: the mean over each of ``points`` equal stretches of a unit's steps.

    Batches differ more than the policy moves in a step, so single steps would hide the course.

    Args:
        run: a DPO run.
        arms: only these, in this order.
        points: stretches; a unit of fewer steps keeps every step.

    Returns:
        Columns ``arm``, ``name``, ``seed``, ``step`` (the last of the stretch); ``chosen``, ``rejected``, ``margin``:
        log-ratios to the reference in nats a completion; ``accuracy``: per cent of pairs with the chosen side ahead.
    """
    import pandas as pd  # noqa: PLC0415

    objectives = run.record.recipe.values["arms"]
    frame = run.steps()
    frame = frame[frame["rewards/margins"].notna()]
    parts = []
    for arm, seed in _units(run, arms):
        beta = float(objectives[arm]["beta"])
        steps = frame[frame["arm"] == f"{arm}-seed{seed}"].sort_values("step").reset_index(drop=True)
        if steps.empty:
            raise UserError(f"{run.folder}: {arm}-seed{seed} has no training steps")
        whole = pd.DataFrame(
            {
                "step": steps["step"],
                "chosen": steps["rewards/chosen"] / beta,
                "rejected": steps["rewards/rejected"] / beta,
                "margin": steps["rewards/margins"] / beta,
                "accuracy": 100 * steps["rewards/accuracies"],
            }
        )
        stretch = whole.index * min(points, len(whole)) // len(whole)
        means = whole.groupby(stretch).mean().assign(step=whole["step"].groupby(stretch).last())
        parts.append(means.assign(arm=arm, seed=seed, name=name(run, arm)))
    return pd.concat(parts, ignore_index=True)


def looks(run: Facts, arms: Sequence[str] | None = None) -> "pd.DataFrame":
    """The looks at the policy's own samples: a row a look.

    Args:
        run: a DPO run.
        arms: only these, in this order.

    Returns:
        Columns ``arm``, ``name``, ``seed``, ``step``, ``kl`` (nats a completion), ``kl_low`` and ``kl_high`` (1.96
        standard errors over completions) and, where the recipe judges the looks, ``percent`` of completions that pass
        with ``percent_low`` and ``percent_high`` (95 % over tasks).
    """
    import pandas as pd  # noqa: PLC0415

    frame = run.steps()
    frame = frame[frame["kl"].notna()]
    parts = []
    for arm, seed in _units(run, arms):
        mine = frame[frame["arm"] == f"{arm}-seed{seed}"].sort_values("step")
        if mine.empty:
            raise UserError(f"{run.folder}: {arm}-seed{seed} was never looked at")
        part = mine[["step", "kl"]].assign(arm=arm, seed=seed, name=name(run, arm))
        part["kl_low"], part["kl_high"] = (mine["kl"] + sign * 1.96 * mine["kl_error"] for sign in (-1, 1))
        if "pass@1" in mine:
            part["percent"] = 100 * mine["pass@1"]
            for end in ("low", "high"):
                if f"pass@1_{end}" in mine:
                    part[f"percent_{end}"] = 100 * mine[f"pass@1_{end}"]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def shifts(run: Facts, key: str = "t0.6", points: int = 10) -> list[dict[str, Any]]:
    """Where every arm ended: a row an arm, units averaged over seeds; the first row is the start.

    Args:
        run: a DPO run.
        key: the sampling setting of the final scores.
        points: the end is the mean over the last one of so many stretches.

    Returns:
        ``name``; ``chosen``, ``rejected``, ``margin`` (nats a completion) and ``accuracy`` (per cent) of the last
        stretch; ``kl`` of the last look; ``best`` and ``best_step``, the look after the start with the most passes, and
        ``last``, that of the last look (per cent; None where looks are not judged); ``score`` on the evaluated split,
        and ``difference`` to the start with ``low`` and ``high`` (shares), again as ``points`` and ``ci`` (text).
    """
    course, seen = ratios(run, points=points), looks(run)
    found = run.frame("comparison")
    found = found[(found["setting"] == key) & (found["k"] == 1)].set_index("model")
    first = seen[seen["step"] == 0]
    empty = dict.fromkeys(
        ("chosen", "rejected", "margin", "accuracy", "best", "best_step", "difference", "low", "high")
    )
    empty |= dict.fromkeys(("points", "ci"))
    rows = [
        {"name": "start"} | empty | {"kl": 0.0, "last": _mean(first, "percent"), "score": float(found["start"].iloc[0])}
    ]
    for arm in run.record.recipe.values["arms"]:
        mine, views = course[course["arm"] == arm], seen[seen["arm"] == arm]
        end = mine[mine["step"] == mine["step"].max()]
        last = views[views["step"] == views["step"].max()]
        row: dict[str, Any] = {"name": name(run, arm), "kl": _mean(last, "kl"), "last": _mean(last, "percent")}
        row |= {side: _mean(end, side) for side in ("chosen", "rejected", "margin", "accuracy")}
        row |= {"best": None, "best_step": None}
        if "percent" in views:
            by_step = views[views["step"] > 0].groupby("step")["percent"].mean()
            row |= {"best": float(by_step.max()), "best_step": int(by_step.index[int(by_step.argmax())])}
        row |= {part: float(found.loc[arm, part]) for part in ("score", "difference", "low", "high")}
        row |= {"points": 100 * row["difference"], "ci": str(interval(100 * row["low"], 100 * row["high"], ".1f"))}
        rows.append(row)
    return rows


def explored(runs: Mapping[str, Facts], key: str = "t0.6") -> list[dict[str, Any]]:
    """Trials of settings below each other: the rows of :func:`shifts` without the starts.

    Args:
        runs: DPO runs by what their pairs are called.
        key: the sampling setting of the scores.

    Returns:
        The columns of :func:`shifts`, ``name`` without the rate, and ``arm``, ``pairs`` (the run's name here),
        ``count`` (of pairs), ``rate`` (millionths) and ``verdict``, the record's own.
    """
    rows = []
    for label, run in runs.items():
        objectives = run.record.recipe.values["arms"]
        found = run.frame("comparison")
        verdicts = found[(found["setting"] == key) & (found["k"] == 1)].set_index("model")["verdict"]
        for arm, row in zip(objectives, shifts(run, key)[1:], strict=True):
            more = {
                "arm": arm,
                "pairs": label,
                "count": run.number("pairs"),
                "rate": 1e6 * float(objectives[arm]["rate"]),
            }
            rows.append(row | more | {"name": loss(run, arm), "verdict": str(verdicts[arm])})
    return rows


def look_width(run: Facts) -> float:
    """Half the 95 % interval over tasks of a look's share of passes, in percentage points: the median of all looks."""
    seen = looks(run)
    widths: list[float] = (seen["percent_high"] - seen["percent_low"]).tolist()
    return median(widths) / 2


def drawn(run: Facts) -> dict[str, dict[str, Any]]:
    """How often the start's samples for pairs passed, by source of the tasks: ``train``, ``enlarged``."""
    rows = run.frame("drawn").to_dict("records")
    return {row["source"]: {str(key): value for key, value in row.items()} for row in rows}


def drained(run: Facts, arm: str) -> dict[str, float]:
    """The highest mean log-ratio that chosen programs reached, its step, and the one at the end, nats a completion."""
    course = ratios(run, [arm]).groupby("step")["chosen"].mean()
    return {"peak": float(course.max()), "step": int(course.index[int(course.argmax())]), "end": float(course.iloc[-1])}


def beforehand(run: Facts, arm: str) -> dict[str, float]:
    """How likely both sides were to the reference: the mean log-probability of a program over an arm's batches, nats.

    trl logs the policy's log-probability and β times the log-ratio, so their difference is the reference's.
    """
    beta = float(run.record.recipe.values["arms"][arm]["beta"])
    frame = run.steps()
    frame = frame[frame["rewards/margins"].notna() & frame["arm"].str.startswith(f"{arm}-seed")]
    return {
        side: float((frame[f"logps/{side}"] - frame[f"rewards/{side}"] / beta).mean())
        for side in ("chosen", "rejected")
    }


def _power(rate: float) -> str:
    """A rate as a power of ten: ``3·10⁻⁶``, ``10⁻⁵``."""
    factor, _, exponent = f"{rate:e}".partition("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if float(factor) == 1 else f"{float(factor):g}·10{raised}"


def _mean(frame: "pd.DataFrame", column: str) -> float | None:
    return float(frame[column].mean()) if column in frame else None


def _units(run: Facts, arms: Sequence[str] | None) -> list[tuple[str, int]]:
    values = run.record.recipe.values
    return [(arm, seed) for arm in (values["arms"] if arms is None else arms) for seed in values["seeds"]]
