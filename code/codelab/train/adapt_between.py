"""The table ``between`` of an ``adapt`` run: places that its recipe pairs, against one another row by row.

A place is an arm with all its seeds, a weight of its interpolation, or the start. The two spreads answer different
questions, as in ``dpo_report``: the interval, with seeds averaged a row, says whether these models would differ on
other text, probes or tasks; the differences by seed say what training again may give. "better" and "worse" follow the
interval alone. Not covered: what each arm is by itself (``adapt_report``).
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from codelab.evaluate.metrics import Floats
from codelab.evaluate.paired import paired_difference
from codelab.evaluate.report import task_scores
from codelab.train.adapt_recipe import GAIN, START, AdaptRecipe, point_name

Row = dict[str, Any]
Values = dict[str, Floats]

COMPLETIONS = "completion_gain"
LOSSES = ("text_bits", "old_bits")


def rows(
    recipe: AdaptRecipe, points: Sequence[Row], samples: Mapping[str, Sequence[Row]], scale: Mapping[str, float]
) -> list[Row]:
    """A row a pair and quantity; pairs of which nothing is there to compare are left out.

    Quantities: ``completion_gain``, ``text_bits`` and ``old_bits`` in bits a byte, ``probes`` (plain ones of all
    kinds), ``probes.<kind>.<form>`` and ``pass@k``, shares.

    Args:
        recipe: names the pairs.
        points: what :meth:`codelab.train.adapt_models.Workshop.losses` gave, with arm, seed and weight.
        samples: judged completions by point.
        scale: bits a byte for one nat a token of ``text`` and of ``old``.

    Returns:
        ``pair``, ``first``, ``second``, ``quantity``, ``unit``, both places' means, ``difference`` (second minus
        first) with ``low`` and ``high`` over ``n`` rows, completions, probes or tasks, the number of ``seeds``, the
        least and the most difference of a seed (None for one seed), and ``verdict``.
    """
    start = next(point for point in points if point["arm"] == START)
    places: dict[str, dict[int, Values]] = defaultdict(dict)
    for point in points:
        found = _values(point, start, scale, samples.get(point["name"], ()), recipe.k)
        if point is start:
            places[START] = dict.fromkeys(recipe.seeds, found)
        else:
            places[point_name(point["arm"], point["weight"])][point["seed"]] = found
    sizes = np.array(start["completion_bytes"], dtype=np.float64)
    table = []
    for name, pair in recipe.compared().items():
        second = places[pair.second]
        first = _at_gain(recipe, places, pair.first, second) if pair.first.endswith(f"@{GAIN}") else places[pair.first]
        both = [(first[seed], second[seed]) for seed in recipe.seeds if seed in first and seed in second]
        for key in [key for key in both[0][0] if key in both[0][1]] if both else []:
            if key.startswith("pass@") and pair.passing is False:
                continue
            named = {"pair": name, "first": pair.first, "second": pair.second, "quantity": key}
            table.append(named | _compare([(one[key], other[key]) for one, other in both], key, sizes / sizes.mean()))
    return table


def _values(
    point: Row, start: Row, scale: Mapping[str, float], judged: Sequence[Row], ks: Sequence[int]
) -> dict[str, Floats]:
    """What was measured of one point, by quantity: a number a completion, row, probe or task."""
    fall = np.array(start["completions"], dtype=np.float64) - np.array(point["completions"], dtype=np.float64)
    found: Values = {COMPLETIONS: fall / math.log(2) / float(np.mean(point["completion_bytes"]))}
    found |= {f"{name}_bits": np.array(point[name], dtype=np.float64).mean(1) * scale[name] for name in scale}
    right: dict[str, list[float]] = defaultdict(list)
    for probe in point["probes"]:
        if probe["form"] == "plain":
            right["probes"].append(probe["right"])
        right[f"probes.{probe['kind']}.{probe['form']}"].append(probe["right"])
    found |= {key: np.array(those, dtype=np.float64) for key, those in right.items()}
    return found | {f"pass@{k}": np.array(list(task_scores(judged, k).values())) for k in (ks if judged else ())}


def _compare(pairs: Sequence[tuple[Floats, Floats]], key: str, sizes: Floats) -> Row:
    """One quantity of two places: the paired difference with seeds averaged a row, and the differences by seed."""
    first, second = (np.mean(those, axis=0) for those in zip(*pairs, strict=True))
    by_seed = [float(np.mean(other - one)) for one, other in pairs]
    shifted = second
    if key == COMPLETIONS:
        # Bits a byte are a ratio of sums, whose spread is that of what is left beside each completion's size.
        shifted = second - float(np.mean(second - first)) * (sizes - 1)
    found = paired_difference(first, shifted)
    good = found.value < 0 if key in LOSSES else found.value > 0
    return {
        "unit": "bits/byte" if key in (COMPLETIONS, *LOSSES) else "share",
        "first_value": float(first.mean()), "second_value": float(second.mean()),
        "difference": found.value, "low": found.low, "high": found.high, "n": found.n, "seeds": len(pairs),
        "seeds_least": min(by_seed) if len(pairs) > 1 else None,
        "seeds_most": max(by_seed) if len(pairs) > 1 else None,
        "verdict": ("better" if good else "worse") if found.excludes_zero() else "no difference shown",
    }  # fmt: skip


def _at_gain(
    recipe: AdaptRecipe, places: Mapping[str, Mapping[int, Values]], place: str, second: Mapping[int, Values]
) -> dict[int, Values]:
    """By seed, an arm's interpolation where it gains at least what ``second`` does and has lost least on old text.

    Between two measured weights everything is taken to be linear, row by row. The gain is taken as it was measured: the
    interval of the losses does not hold its own. A seed whose gain no weight reaches is left out.
    """
    arm = place.partition("@")[0]
    knots = [START, *(point_name(arm, weight) for weight in sorted(recipe.arms[arm].interpolate)), arm]
    found = {}
    for seed, own in second.items():
        aim = float(own[COMPLETIONS].mean())
        path = [{key: places[knot][seed][key] for key in (COMPLETIONS, *LOSSES)}
                for knot in knots if seed in places[knot]]  # fmt: skip
        reached = list(path)
        for one, other in pairwise(path):
            least, most = float(one[COMPLETIONS].mean()), float(other[COMPLETIONS].mean())
            if (least - aim) * (most - aim) < 0:
                share = (aim - least) / (most - least)
                reached.append({key: (1 - share) * one[key] + share * other[key] for key in one})
        # On a line the least is at an end or at the crossing; rounding must not hide the crossing itself.
        enough = [place for place in reached if place[COMPLETIONS].mean() >= aim - 1e-9]
        if enough:
            best = min(enough, key=lambda values: float(values["old_bits"].mean()))
            found[seed] = {key: best[key] for key in LOSSES}
    return found
