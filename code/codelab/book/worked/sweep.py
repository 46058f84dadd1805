"""What a sweep of DPO's β did to the policy, for chapter 5: where an arm stood at a look, at a margin, and at its end.

Log-ratios are in nats a completion, as in :mod:`codelab.book.worked.preferences`, whose frames are used; differences
to the start are paired and come from the record. Arithmetic is means over steps and over seeds. Not covered: the toy
(:mod:`codelab.book.worked.ch05`), the plot (``codelab.book.shifts``).
"""

from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import interval
from codelab.book.worked.ch05 import half_weight_margin
from codelab.book.worked.preferences import looks, loss, ratios
from codelab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 12
"""Steps that a log-ratio is averaged over: batches differ more than the policy moves in a step."""
_SIDES = ("chosen", "rejected", "margin", "accuracy")


def course(run: Facts, arm: str, width: int = WIDTH) -> "pd.DataFrame":
    """Log-ratios of every step, each the mean over the last ``width`` steps (fewer at first) and over seeds.

    Returns:
        Index ``step``; columns ``chosen``, ``rejected``, ``margin`` (nats a completion), ``accuracy`` (per cent).
    """
    frame = ratios(run, [arm], points=len(run.steps()))
    return frame.groupby("step")[list(_SIDES)].mean().rolling(width, min_periods=1).mean()


def at(run: Facts, arm: str, step: int | None = None) -> dict[str, float]:
    """Where an arm stood at one of its looks, units averaged over seeds.

    Args:
        run: a DPO run.
        arm: of its recipe.
        step: of the look; None: the last.

    Returns:
        ``step``; ``chosen``, ``rejected``, ``margin`` and ``accuracy`` of :func:`course`; ``kl`` (nats a completion)
        and, where looks are judged, ``percent`` of completions that pass.

    Raises:
        UserError: nothing was looked at there.
    """
    seen = looks(run, [arm])
    step = int(seen["step"].max()) if step is None else step
    mine = seen[seen["step"] == step]
    if step < 1 or mine.empty:
        raise UserError(f"{run.folder}: {arm}: no look at step {step} after the start")
    row = {"step": float(step)} | _point(course(run, arm), step) | {"kl": float(mine["kl"].mean())}
    return row | ({"percent": float(mine["percent"].mean())} if "percent" in mine else {})


def reached(run: Facts, arm: str, margin: float) -> dict[str, float]:
    """The first step at which an arm's margin of :func:`course` is as large as ``margin``, with what it is made of.

    Raises:
        UserError: the arm never gets there.
    """
    frame = course(run, arm)
    past = frame[frame["margin"] >= margin]
    if past.empty:
        raise UserError(f"{run.folder}: {arm}: the margin never reaches {margin:g}")
    return {"step": int(past.index[0])} | _point(frame, int(past.index[0]))


def row(run: Facts, arm: str, name: str | None = None, step: int | None = None, key: str = "t0.6") -> dict[str, Any]:
    """A model as a row of the chapter's table.

    Args:
        run: a DPO run.
        arm: of its recipe, or ``start``.
        name: what the book calls it, if not by its loss.
        step: that of an early stop, whose model is another one in the record.
        key: the sampling setting of the scores.

    Returns:
        ``name``; ``half``, the margin at which a pair's weight is halved (None without a sigmoid in the loss); what
        :func:`at` returns (None for the start, its KL 0); ``cut`` (per cent of test samples that ran into the length
        limit), ``score`` (share that pass); ``points`` and ``ci``, the paired difference to the start in percentage
        points and its 95 % interval over tasks as text, None for the start.

    Raises:
        UserError: the difference has no interval.
    """
    units, early = ["start"], "" if step is None else "-early"
    values: dict[str, Any] = dict.fromkeys(("half", *_SIDES, "points", "ci")) | {"kl": 0.0}
    if arm != "start":
        objective = run.record.recipe.values["arms"][arm]
        units = [f"{arm}-seed{seed}{early}" for seed in run.record.recipe.values["seeds"]]
        values["half"] = half_weight_margin(float(objective["beta"])) if "sigmoid" in objective["loss"] else None
        change = run.metric(f"{arm}{early}.{key}.pass@1.difference")
        if change.low is None or change.high is None:
            raise UserError(f"{run.folder}: {arm}: the difference has no interval")
        values |= at(run, arm, step) | {"points": 100 * change.value}
        values["ci"] = str(interval(100 * change.low, 100 * change.high, "+.2f"))
    cut = [run.number(f"{unit}.{key}.hit_length_limit") for unit in units]
    return {
        "name": name or (arm if arm == "start" else loss(run, arm)),
        **values,
        "cut": 100 * sum(cut) / len(cut),
        "score": run.number(f"{units[0] if len(units) == 1 else arm}.{key}.pass@1"),
    }


def _point(frame: "pd.DataFrame", step: int) -> dict[str, float]:
    return dict(zip(frame.columns, frame.loc[[step]].to_numpy()[0].tolist(), strict=True))
