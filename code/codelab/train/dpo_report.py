"""What a run with arms comes to: every arm against its start, paired over tasks, and over seeds.

The two intervals answer different questions. Over tasks: would these models, whose seeds are averaged task by task,
differ on other tasks? Over seeds: would training again differ? "better" is written only where the interval over tasks
excludes zero. ``by_seed`` says the same of each trained model alone. Not covered: scores of single models
(``codelab.evaluate.report``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from codelab.evaluate.engines import Asker
from codelab.evaluate.metrics import Estimate, across_seeds, bootstrap
from codelab.evaluate.paired import match, mcnemar, paired_difference
from codelab.evaluate.report import GREEDY, setting_name, task_scores
from codelab.evaluate.store import Sink
from codelab.sandbox import Limits
from codelab.train.arms_recipe import ArmsRecipe

Rows = Sequence[Mapping[str, Any]]


def compare(recipe: ArmsRecipe, run: Sink, rows: Mapping[str, Rows], start: str) -> None:
    """Write ``<arm>.<setting>.pass@k`` and its ``.difference``, each with ``.seeds`` where there are several.

    Beside them ``<model>.<setting>.pass@k.difference`` of every trained model, and the tables ``comparison`` and
    ``by_seed``.

    Args:
        recipe: names arms, seeds and settings.
        run: the run.
        rows: judged samples of the evaluated split by model.
        start: name of the model that all are compared with.
    """
    settings = [GREEDY] * recipe.greedy + [setting_name(value) for value in recipe.temperatures]
    table: list[dict[str, Any]] = []
    by_seed: list[dict[str, Any]] = []
    for setting in settings:
        for k in sorted({1, *recipe.k}) if setting != GREEDY else [1]:
            base = task_scores(_of(rows[start], setting), k)
            table += [
                _pair(name, setting, k, base, [task_scores(_of(rows[name], setting), k)]) for name in recipe.baselines
            ]
            for arm, models in recipe.models().items():
                scores = [task_scores(_of(rows[name], setting), k) for name in models]
                table.append(_pair(arm, setting, k, base, scores))
                _metrics(run, f"{arm}.{setting}.pass@{k}", base, scores)
                for name, score in zip(models, scores, strict=True):
                    by_seed.append(_alone(name, setting, k, base, score))
                    difference = _difference(base, [score])
                    run.metric(f"{name}.{setting}.pass@{k}.difference", **asdict(difference), unit="share")
    run.table("comparison", table)
    run.table("by_seed", by_seed)


def rivals(recipe: ArmsRecipe, run: Sink, rows: Mapping[str, Rows]) -> None:
    """Write ``<arm>.<setting>.pass@k.over.<rival>``: every arm against other methods' models, paired over tasks.

    Baselines named alike but for a number at the end (``dpo-0``, ``dpo-1``) are one rival's seeds and are averaged task
    by task, as an arm's are.

    Args:
        recipe: names arms, seeds, baselines and settings.
        run: the run.
        rows: judged samples of the evaluated split by model.
    """
    groups: dict[str, list[str]] = {}
    for name in recipe.baselines:
        head, dash, tail = name.rpartition("-")
        groups.setdefault(head if dash and tail.isdigit() else name, []).append(name)
    table: list[dict[str, Any]] = []
    for setting in [GREEDY] * recipe.greedy + [setting_name(value) for value in recipe.temperatures]:
        for k in sorted({1, *recipe.k}) if setting != GREEDY else [1]:
            for rival, names in groups.items():
                base = _mean([task_scores(_of(rows[name], setting), k) for name in names])
                for arm in recipe.arms:
                    units = [unit.label for unit in recipe.units() if unit.name == arm]
                    scores = [task_scores(_of(rows[label], setting), k) for label in units]
                    found = _pair(arm, setting, k, base, scores)
                    table.append(found | {"rival": rival, "rival_score": found.pop("start"), "rival_seeds": len(names)})
                    name = f"{arm}.{setting}.pass@{k}.over.{rival}"
                    run.metric(name, **asdict(_difference(base, scores)), unit="share")
    if table:
        run.table("rivals", table)


def _of(rows: Rows, setting: str) -> Rows:
    return [row for row in rows if row["setting"] == setting]


def _mean(scores: Sequence[Mapping[int, float]]) -> dict[int, float]:
    return {task: float(np.mean([one[task] for one in scores])) for task in scores[0]}


def _difference(base: Mapping[int, float], scores: Sequence[Mapping[int, float]]) -> Estimate:
    return paired_difference(*match(base, _mean(scores)))


def _by_seed(base: Mapping[int, float], scores: Sequence[Mapping[int, float]]) -> list[float]:
    return [float(np.mean([one[task] - base[task] for task in base])) for one in scores]


def _pair(
    name: str, setting: str, k: int, base: Mapping[int, float], scores: Sequence[Mapping[int, float]]
) -> dict[str, Any]:
    difference = _difference(base, scores)
    seeds = _by_seed(base, scores)
    spread = across_seeds(seeds) if len(seeds) > 1 else None
    verdict = "better" if difference.low > 0 else "worse" if difference.high < 0 else "no difference shown"
    return {
        "model": name,
        "setting": setting,
        "k": k,
        "start": float(np.mean(list(base.values()))),
        "score": float(np.mean(list(_mean(scores).values()))),
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "tasks": difference.n,
        "seeds": len(seeds),
        "seeds_low": spread.low if spread else None,
        "seeds_high": spread.high if spread else None,
        "verdict": verdict,
    }


def _alone(name: str, setting: str, k: int, base: Mapping[int, float], score: Mapping[int, float]) -> dict[str, Any]:
    """One trained model against the start; greedy answers, which pass or do not, by McNemar's exact test too."""
    row = _pair(name, setting, k, base, [score])
    outcome = mcnemar(*match(base, score)) if setting == GREEDY else None
    return {key: value for key, value in row.items() if not key.startswith("seeds")} | {
        "only_start": outcome.only_first if outcome else None,
        "only_model": outcome.only_second if outcome else None,
        "p_value": outcome.p_value if outcome else None,
    }


def _metrics(run: Sink, name: str, base: Mapping[int, float], scores: Sequence[Mapping[int, float]]) -> None:
    run.metric(name, **asdict(bootstrap(list(_mean(scores).values()))), unit="share")
    run.metric(f"{name}.difference", **asdict(_difference(base, scores)), unit="share")
    if len(scores) > 1:
        means = [float(np.mean(list(one.values()))) for one in scores]
        run.metric(f"{name}.seeds", **asdict(across_seeds(means)), unit="share")
        run.metric(f"{name}.difference.seeds", **asdict(across_seeds(_by_seed(base, scores))), unit="share")


def conditions(recipe: ArmsRecipe, tasks: int, ask: Asker) -> list[dict[str, Any]]:
    """Under which conditions every score of the run came about, one row."""
    return [
        {
            "split": recipe.questions.split,
            "tasks": tasks,
            "sanitized": recipe.questions.sanitized,
            "prompt": ask.style.name,
            "tests_shown": ask.style.tests,
            "stop_rule": f"end token, limit, or program complete ({ask.style.form})",
            "samples": recipe.samples,
            "temperatures": ", ".join(f"{value:g}" for value in recipe.temperatures),
            "top_p": recipe.top_p,
            "max_new_tokens": recipe.max_new_tokens,
            "backend": recipe.backend,
            "dtype": recipe.dtype,
            "trainer": recipe.trainer,
            "cpu_seconds_at_least": Limits().cpu_seconds,
            "wall_seconds": Limits().wall_seconds,
            "limits_calibrated": recipe.judging.calibrate,
        }
    ]
