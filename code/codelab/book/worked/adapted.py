"""What essays 1, 2 and 6 show of records of kind ``adapt``: arms by the names that the chapters use, and their rows.

Not covered: figures and comparisons themselves (``codelab.book.planes``), and any judgment.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codelab.book import planes
from codelab.book.facts import Facts
from codelab.book.formats import Markdown

if TYPE_CHECKING:
    import pandas as pd

CONTINUED = {
    "start": "start",
    "cpt-flat": "text, small flat rate",
    "cpt-1e-4": "text, re-warmed to 1e-4",
    "cpt": "text, re-warmed",
    "cpt-replay-25": "text, 25 % replay",
    "sft": "pairs",
    "cpt-1e-4-sft": "text at 1e-4, then pairs",
    "cpt-sft": "text, then pairs",
    "cpt-replay-sft": "text and replay, then pairs",
}
TUNED = {
    "start": "start",
    "full": "full",
    "lora-4": "LoRA, rank 4",
    "lora-16": "LoRA, rank 16",
    "lora-64": "LoRA, rank 64",
    "qlora-16": "QLoRA, rank 16",
}
REMEDIES = {
    "full": "no remedy",
    "rate-2e-4": "rate 2e-4",
    "rate-5e-5": "rate 5e-5",
    "rate-2e-5": "rate 2e-5",
    "lora-4": "LoRA, rank 4",
    "lora-16": "LoRA, rank 16",
    "lora-64": "LoRA, rank 64",
    "replay-01": "replay, 1 %",
    "replay-05": "replay, 5 %",
    "replay-20": "replay, 20 %",
    "pull-20": "L2, weak",
    "pull-100": "L2, middle",
    "pull-500": "L2, strong",
    "kl-01": "KL, weight 0.1",
    "kl-05": "KL, weight 0.5",
    "kl-20": "KL, weight 2",
}
CONTINUED_PAIRS = {
    "cpt-over-cpt-flat": "re-warmed, over flat",
    "cpt-replay-25-over-cpt": "25 % replay, over none",
    "cpt-sft-over-sft": "text then pairs, over pairs",
    "cpt-replay-sft-over-sft": "text and replay then pairs, over pairs",
}
TUNED_PAIRS = {
    "lora-4-over-full": "LoRA 4, over full",
    "lora-16-over-full": "LoRA 16, over full",
    "lora-64-over-full": "LoRA 64, over full",
    "qlora-16-over-lora-16": "QLoRA 16, over LoRA 16",
}
RULED = "{}-over-interpolation"
VERDICTS = {"less": "less", "more": "more", "same": "no difference", None: "not comparable"}


def rows(run: Facts, names: Mapping[str, str], formats: Mapping[str, str]) -> list[dict[str, str | None]]:
    """The record's arms in the chapter's words; shares are shown as the format asks."""
    units = {key: "share" for key in formats if key.startswith("pass@") or key == "probes"}
    return planes.arm_cells(run.frame("arms"), names, formats, units)


def remedies(run: Facts) -> list[dict[str, Any]]:
    """A row an arm of question 6: gain, forgetting, probes, and how far from interpolation's at the same gain.

    ``chat`` is the share of capitals named when asked as in a dialogue; ``beside`` is the arm's forgetting minus
    interpolation's with its interval over rows; ``verdict`` says less or more where that interval and both seeds lie on
    one side of zero.
    """
    formats = {"gain": ".2f", "old_rise": ".3f", "text_rise": ".3f", "probes": ".0f %", "pass@1": ".1f %"}
    found = rows(run, REMEDIES, formats)
    arms = [arm for arm in REMEDIES if arm in set(run.frame("arms")["arm"])]
    table: list[dict[str, Any]] = []
    for arm, row in zip(arms, found, strict=True):
        other = against(run, RULED.format(arm), "old_bits")
        table.append(dict(row) | {"beside": planes.apart(other, "+.3f") if other else None,
                                  "chat": _spread(probed(run, arm, "capital", "chat")),
                                  "verdict": "–" if arm == "full" else VERDICTS[_ruling(other)]})  # fmt: skip
    return table


def against(run: Facts, pair: str, quantity: str) -> dict[str, Any] | None:
    """One comparison of two arms; see :func:`codelab.book.planes.held`."""
    return planes.held(run.frame("between"), pair, quantity)


def apart(run: Facts, pair: str, quantity: str, fmt: str = "+.3f") -> Markdown:
    """Second minus first of a pair with its 95 % interval: ``+0.012 (+0.008 to +0.016)``.

    Raises:
        KeyError: the record does not compare them.
    """
    row = against(run, pair, quantity)
    if row is None:
        raise KeyError(f"{pair}: {quantity} is not compared")
    return Markdown(planes.apart(row, fmt))


def _ruling(row: Mapping[str, Any] | None) -> str | None:
    if row is None or row["seeds"] < 2:
        return None
    return {1: "more", -1: "less", 0: "same"}[row["sign"]]


def interpolated(run: Facts, arm: str, weight: float) -> dict[str, float]:
    """A point on the way from the start to an arm, means over its seeds.

    Args:
        run: a record of kind ``adapt``.
        arm: which.
        weight: how far, from 0 at the start to 1.

    Returns:
        ``gain`` and ``old_rise``; ``least`` and ``most``, the outermost ends of the seeds' intervals of ``old_rise``.

    Raises:
        KeyError: the record has no such point.
    """
    points: pd.DataFrame = run.frame("points")
    own = points[(points["arm"] == arm) & (points["weight"] == weight)]
    if own.empty:
        raise KeyError(f"{arm}@{weight:g} was not measured")
    return {
        "gain": float(own["gain"].mean()),
        "old_rise": float(own["old_rise"].mean()),
        "least": float(own["old_rise_low"].min()),
        "most": float(own["old_rise_high"].max()),
    }


def probed(run: Facts, name: str, kind: str, form: str = "plain") -> list[float]:
    """Share of the probes of a kind that one arm, or the start, gets right in one form: a number a seed."""
    rows: pd.DataFrame = run.frame("probes")
    weight = 0.0 if name == "start" else 1.0
    own = rows[(rows["arm"] == name) & (rows["weight"] == weight) & (rows["kind"] == kind) & (rows["form"] == form)]
    return [float(value) for value in own["value"]]


def with_probe(run: Facts, kind: str, form: str) -> "pd.DataFrame":
    """The record's table ``points`` with a column ``KIND.FORM``: the share of those probes that a point gets right."""
    rows: pd.DataFrame = run.frame("probes")
    own = rows[(rows["kind"] == kind) & (rows["form"] == form)].set_index("name")["value"]
    points: pd.DataFrame = run.frame("points")
    return points.assign(**{f"{kind}.{form}": points["name"].map(own)})


def _spread(values: list[float]) -> str | None:
    """Mean of some shares in percent, with half the distance between the outermost where there are two or more."""
    if not values:
        return None
    mean = f"{100 * sum(values) / len(values):.0f}"
    return mean if len(values) < 2 else f"{mean} ± {50 * (max(values) - min(values)):.0f}"
