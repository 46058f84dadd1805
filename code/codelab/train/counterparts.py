"""The same arms trained or sampled by other software: this run's scores beside those of earlier records.

A faster path that writes other programs is no saving. Every model of this run is paired, task by task, with the one of
the same name in an earlier record: scores with the interval of their difference, and the share of greedy completions
that are the same text. Not covered: arms of other names, settings that only one side has, and why a text differs
(``codelab.evaluate.agreement``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codelab.errors import UserError
from codelab.evaluate.metrics import wilson
from codelab.evaluate.paired import match, paired_difference
from codelab.evaluate.report import GREEDY, setting_name, task_scores
from codelab.records import Record, Run, read_samples
from codelab.train.arms import START
from codelab.train.dpo_recipe import DpoRecipe
from codelab.train.kept_pairs import newest

Rows = Sequence[Mapping[str, Any]]
_SAME = ("max_new_tokens", "top_p", "dtype")
_QUESTIONS = ("split", "sanitized", "limit", "prompt")


def against(recipe: DpoRecipe, run: Run, rows: Mapping[str, Rows]) -> None:
    """Write the tables ``counterparts`` and ``same_text``, a metric for each difference, and which records were read.

    A record that is missing or was made under other conditions is named in a note: what this run measured stays.

    Args:
        recipe: names the records.
        run: the run.
        rows: judged samples of the evaluated split by model.
    """
    scores: list[dict[str, Any]] = []
    texts: list[dict[str, Any]] = []
    seen: set[str] = set()
    for where in recipe.counterparts:
        try:
            folder, record = newest(Path(where), "counterparts")
            _refuse_other(recipe, record)
        except UserError as error:
            run.note(f"Not compared: {error}")
            continue
        name = f"{record.recipe.name}/{record.run}"
        theirs = _by_variant(read_samples(folder))
        groups = {arm: [f"{arm}-seed{seed}" for seed in recipe.seeds] for arm in recipe.arms}
        for arm, models in {START: [START], **groups}.items():
            if arm in seen or any(model not in theirs or model not in rows for model in models):
                continue
            seen.add(arm)
            mine, other = [rows[model] for model in models], [theirs[model] for model in models]
            scores += [{"model": arm, "record": name} | row for row in _scores(recipe, mine, other)]
            texts += [{"model": m, "record": name} | _same_text(rows[m], theirs[m]) for m in models if recipe.greedy]
    for row in scores:
        run.metric(
            f"counterpart.{row['model']}.{row['setting']}.pass@{row['k']}.difference", row["difference"],
            low=row["low"], high=row["high"], level=0.95, n=row["tasks"], unit="share", method=row["method"],
        )  # fmt: skip
    if recipe.counterparts:
        run.table("counterparts", scores)
        run.table("same_text", texts)


def _refuse_other(recipe: DpoRecipe, record: Record) -> None:
    values, mine = record.recipe.values, recipe.model_dump(mode="json")
    pairs = [(key, values.get(key), mine[key]) for key in _SAME]
    pairs += [(f"questions.{key}", values["questions"].get(key), mine["questions"][key]) for key in _QUESTIONS]
    for key, there, here in pairs:
        if there != here:
            raise UserError(f"{record.recipe.name}/{record.run} has another {key} ({there}, here {here})")


def _by_variant(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if "setting" in row:
            found.setdefault(row["variant"], []).append(row)
    return found


def _scores(recipe: DpoRecipe, mine: Sequence[Rows], other: Sequence[Rows]) -> list[dict[str, Any]]:
    """Scores averaged over seeds task by task, and this run's minus the other's, paired over tasks."""
    made = []
    for setting in [GREEDY] * recipe.greedy + [setting_name(value) for value in recipe.temperatures]:
        for k in sorted({1, *recipe.k}) if setting != GREEDY else [1]:
            here, there = _mean(mine, setting, k), _mean(other, setting, k)
            if not there:
                continue
            difference = paired_difference(*match(there, here))
            made.append({
                "setting": setting, "k": k, "here": float(np.mean(list(here.values()))),
                "there": float(np.mean(list(there.values()))), "difference": difference.value, "low": difference.low,
                "high": difference.high, "tasks": difference.n, "method": difference.method,
                "agree": not difference.excludes_zero(),
            })  # fmt: skip
    return made


def _mean(models: Sequence[Rows], setting: str, k: int) -> dict[int, float]:
    chosen = [[row for row in rows if row["setting"] == setting] for rows in models]
    if not all(chosen):
        return {}
    scores = [task_scores(rows, k) for rows in chosen]
    return {task: float(np.mean([one[task] for one in scores])) for task in scores[0]}


def _same_text(mine: Rows, other: Rows) -> dict[str, Any]:
    texts = [{row["task_id"]: row["text"] for row in rows if row["setting"] == GREEDY} for rows in (mine, other)]
    both = sorted(texts[0].keys() & texts[1].keys())
    share = wilson(sum(texts[0][task] == texts[1][task] for task in both), max(1, len(both)))
    return {"identical": share.value, "low": share.low, "high": share.high, "completions": len(both)}
