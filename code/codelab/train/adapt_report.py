"""From the points of an ``adapt`` run to metrics and tables: what each arm gained and lost against the start.

Forgetting is the rise of the loss on old text in bits per byte; gain is the share of the fall of the completions'
loss that the reference arm reaches, mean over its seeds (the two axes of chapter 6). Intervals are over held-out
rows, completions, probes or tasks, paired with the start's; the spread over training seeds is kept apart. Not
covered: arms against one another (``adapt_between``), and what follows for a strategy, which the chapter argues.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from codelab.evaluate.metrics import Estimate, across_seeds, bootstrap, failure_table, wilson
from codelab.evaluate.report import score, task_scores
from codelab.records import Run
from codelab.sandbox import Limits
from codelab.tasks.prompts import Style
from codelab.train import adapt_between
from codelab.train.adapt_recipe import START, AdaptRecipe
from codelab.train.tokens import open_tokens

Row = dict[str, Any]
PAIRED = "bootstrap, paired with the start"


def write(recipe: AdaptRecipe, run: Run, points: list[Row], samples: Mapping[str, Sequence[Row]], style: Style) -> None:
    """Write everything; calling it again replaces what it wrote.

    Args:
        recipe: the settings.
        run: the run.
        points: what :meth:`codelab.train.adapt_models.Workshop.losses` gave, with arm, seed and weight.
        samples: judged completions by point.
        style: of the prompts.
    """
    scale = {name: _bits(folder) for name, folder in (("text", recipe.text), ("old", recipe.old))}
    start = next(point for point in points if point["arm"] == START)
    goal = [_completion_bits(point) for point in points if point["arm"] == recipe.reference and point["weight"] == 1]
    reach = _completion_bits(start) - float(np.mean(goal)) if goal else math.nan
    rows = [_row(point, start, scale, reach) for point in points]
    for row in rows:
        for k in recipe.k if samples.get(row["name"]) else ():
            row.update(_passing(samples[row["name"]], samples[START], k))
    run.table("points", rows)
    run.table("probes", [one for point in points for one in _probe_rows(point, start)])
    run.table("arms", [_spread(run, name, rows, recipe) for name in (START, *recipe.arms)])
    run.table("between", adapt_between.rows(recipe, points, samples, scale))
    if samples:
        flat = [{"point": name} | dict(sample) for name, those in samples.items() for sample in those]
        run.table("failures", failure_table(flat, lambda sample: str(sample["point"])))
    run.table("conditions", [_conditions(recipe, style)])
    if not reach > 0:
        run.note(f"{recipe.reference} did not lower the completions' loss: there is no gain to measure others by.")
    run.metric("reference_gain", reach, unit="bits/byte", method=f"fall of the completions' loss in {recipe.reference}")


def _row(point: Row, start: Row, scale: Mapping[str, float], reach: float) -> Row:
    """One point: its losses and, against the start, what they mean."""
    kept = ("name", "arm", "family", "seed", "weight", "steps", "tokens", "seconds", "trainable", "labels",
            "old_label_share")  # fmt: skip
    row: Row = {key: point.get(key) for key in kept}
    for name in ("text", "old"):
        nats, before = (np.array(one[name]) * scale[name] for one in (point, start))
        estimate = bootstrap(nats.mean(1))
        row |= {f"{name}_bits": estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        row |= {f"{name}_first_half": float(nats[:, 0].mean()), f"{name}_second_half": float(nats[:, 1].mean())}
        rise = bootstrap((nats - before).mean(1))
        row |= {f"{name}_rise": rise.value, f"{name}_rise_low": rise.low, f"{name}_rise_high": rise.high}
        row[f"{name}_rise_second_half"] = float((nats - before)[:, 1].mean())
    row["completion_bits"] = _completion_bits(point)
    row["gain"] = (_completion_bits(start) - row["completion_bits"]) / reach if reach > 0 else None
    right = [one["right"] for one in point["probes"] if one["form"] == "plain"]
    share = wilson(sum(right), len(right))
    row |= {"probes": share.value, "probes_low": share.low, "probes_high": share.high}
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()}


def _probe_rows(point: Row, start: Row) -> list[Row]:
    """Accuracy by kind and form, with the paired difference to the start."""
    before = {(one["id"], one["form"]): one["right"] for one in start["probes"]}
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for one in point["probes"]:
        groups[one["kind"], one["form"]].append(one)
    rows = []
    for (kind, form), members in groups.items():
        share = wilson(sum(one["right"] for one in members), len(members))
        change = bootstrap([one["right"] - before[one["id"], form] for one in members])
        rows.append({
            "name": point["name"], "arm": point["arm"], "seed": point["seed"], "weight": point["weight"],
            "kind": kind, "form": form, **{key: getattr(share, key) for key in ("value", "low", "high", "n")},
            "change": change.value, "change_low": change.low, "change_high": change.high,
        })  # fmt: skip
    return rows


def _passing(judged: Sequence[Row], start: Sequence[Row], k: int) -> Row:
    """pass@k of a point, and its paired difference to the start's."""
    estimate, own, before = score(judged, k), task_scores(judged, k), task_scores(start, k)
    change = bootstrap([own[task] - before[task] for task in sorted(own)])
    name = f"pass@{k}"
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high,
            f"{name}_change": change.value, f"{name}_change_low": change.low,
            f"{name}_change_high": change.high}  # fmt: skip


def _spread(run: Run, name: str, rows: list[Row], recipe: AdaptRecipe) -> Row:
    """One arm over its seeds: means, their extremes, and metrics with the interval over seeds where there are two."""
    those = [row for row in rows if row["arm"] == name and row["weight"] == (0 if name == START else 1)]
    result: Row = {"arm": name, "family": those[0]["family"] if those else None, "seeds": len(those)}
    units = {"text_bits": "bits/byte", "old_bits": "bits/byte", "completion_bits": "bits/byte", "old_rise": "bits/byte",
             "text_rise": "bits/byte", "gain": "share", "probes": "share", "seconds": "s", "tokens": "tokens",
             **{f"pass@{k}": "share" for k in recipe.k}}  # fmt: skip
    for key, unit in units.items():
        values = [float(row[key]) for row in those if row.get(key) is not None]
        if values:
            result |= {key: float(np.mean(values)), f"{key}_least": min(values), f"{key}_most": max(values)}
            _metric(run, f"{name}.{key}", key, [row for row in those if row.get(key) is not None], unit)
    return result


def _metric(run: Run, name: str, key: str, rows: list[Row], unit: str) -> None:
    """A number with its interval over what was measured (mean of the seeds' ends), and that over seeds beside it."""
    values = [float(row[key]) for row in rows]
    ends = {
        end: [row[f"{key}_{end}"] for row in rows if row.get(f"{key}_{end}") is not None] for end in ("low", "high")
    }
    more: Row = {}
    if ends["low"] and ends["high"]:
        how = PAIRED if key.endswith("rise") else "over what was measured, mean over seeds"
        more = {"low": float(np.mean(ends["low"])), "high": float(np.mean(ends["high"])), "level": 0.95, "method": how}
    run.metric(name, float(np.mean(values)), n=len(values), unit=unit, **more)
    if len(values) > 1:
        seeds: Estimate = across_seeds(values)
        run.metric(f"{name}.seeds", **asdict(seeds), unit=unit)


def _completion_bits(point: Row) -> float:
    return float(sum(point["completions"]) / math.log(2) / sum(point["completion_bytes"]))


def _bits(folder: str) -> float:
    """Bits a byte for one nat a token of a folder's held-out text."""
    heldout = open_tokens(Path(folder)).heldout
    return heldout.tokens / heldout.text_bytes / math.log(2)


def _conditions(recipe: AdaptRecipe, style: Style) -> Row:
    questions = recipe.questions
    return {
        "split": questions.split, "limit": questions.limit, "sanitized": questions.sanitized, "prompt": style.name,
        "tests_shown": style.tests, "stop_rule": f"end token, limit, or program complete ({style.form})",
        "samples": recipe.samples, "temperature": recipe.temperature, "top_p": recipe.top_p,
        "max_new_tokens": recipe.max_new_tokens, "backend": "transformers", "budget": recipe.budget.total,
        "budget_unit": recipe.budget.unit, "rows_per_step": recipe.rows_per_step, "row_tokens": recipe.length,
        "precision": recipe.precision, "wall_seconds": Limits().wall_seconds,
        "limits_calibrated": recipe.judging.calibrate, "validation_tasks": "MBPP validation, reference solutions",
    }  # fmt: skip
