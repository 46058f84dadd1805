"""Recipe kind ``signal``: what GRPO would have to learn from, by the judged completions of earlier records.

Rewards are computed anew from each recorded program and its verdict; nothing is generated and nothing is executed. For
every source, reward and group size the record says how often a group has no variance, and what the others show; and
what the variance is made of. Not covered: what the policy does once it has moved, and temperatures that no record has.
"""

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from codelab.errors import UserError
from codelab.evaluate.compared import newest
from codelab.evaluate.metrics import bootstrap, bootstrap_ratio
from codelab.measure import Meter
from codelab.records import DataFacts, Recipe, Run, Strict, read_record, read_samples
from codelab.records.store import RECORD
from codelab.tasks import mbpp
from codelab.tasks.mbpp import Task
from codelab.tasks.prompts import extract
from codelab.train.derived import named
from codelab.train.groups import (
    CONTRASTS,
    OUTCOMES,
    Levels,
    Outcome,
    advantage_parts,
    chances,
    joint_chances,
    levels,
    variance_parts,
)
from codelab.train.grpo_recipe import Filter
from codelab.train.rewards import Rung, Weights, reward, rung, shares


class Source(Strict):
    """Completions of one model on one set of tasks, under one sampling setting."""

    record: str = Field(description="RECIPE for its newest success, or RECIPE/RUN")
    variant: str | None = Field(default=None, description="whose completions, where the record has several models")
    split: str
    setting: str = Field(description="as records name it, such as t0.8")
    enlarged: str | None = Field(default=None, description="instructions.jsonl.zst, for tasks beyond MBPP")
    least_tests: int = Field(default=2, ge=1, description="that such a task had to have")


class SignalRecipe(Recipe):
    """Whose completions are counted, and under which rewards."""

    kind: Literal["signal"]
    sources: dict[str, Source] = Field(min_length=1)
    rewards: dict[str, Weights] = Field(min_length=1)
    groups: tuple[int, ...] = Field(min_length=1, description="sizes; those above a source's completions are left out")
    filter: Filter | None = Field(default=None, description="how prompts would be chosen, as a GRPO recipe says it")
    draws: int = Field(default=256, ge=1, description="groups drawn a task where advantages are estimated")


RECIPE = SignalRecipe


@dataclass(frozen=True)
class Answered:
    """A task's completions: how far each came, and the tests that held and were judged."""

    rungs: tuple[Rung, ...]
    tests: tuple[tuple[int, int], ...]

    def levels(self, weights: Weights) -> Levels:
        """Counted by reward."""
        both = zip(self.rungs, self.tests, strict=True)
        return levels((reward(weights, reached, *tests), reached) for reached, tests in both)


def run(recipe: SignalRecipe, run: Run) -> None:
    """Count every source.

    Raises:
        UserError: a record or its tasks are missing, or a task has too few completions for every group.
    """
    everything = mbpp.load()
    run.data(mbpp.facts())
    tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with Meter(run).phase("count"), warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of recorded programs, such as 5or 6
        for name, source in recipe.sources.items():
            answered = read(source, everything, run)
            reached = [one for task in answered for one in task.rungs]
            solved = [task.rungs.count("passes") / len(task.rungs) for task in answered]
            run.metric(f"{name}.pass@1", **asdict(bootstrap(solved)), unit="share")
            counted = {"source": name, "tasks": len(answered), "completions": len(reached)}
            tables["rungs"].append(counted | {"pass@1": float(np.mean(solved))} | shares(reached))
            for label, weights in recipe.rewards.items():
                counts = [task.levels(weights) for task in answered]
                head = {"source": name, "reward": label}
                for table, rows in count(recipe, f"{name}.{label}", counts, run).items():
                    tables[table] += [head | row for row in rows]
    for table, rows in tables.items():
        run.table(table, rows)


def read(source: Source, everything: Sequence[Task], run: Run) -> list[Answered]:
    """A source's completions by task, in the order of ids; prompts that did not fit are left out.

    Raises:
        UserError: there is no such record, none of its completions is meant, or a task is unknown.
    """
    folder = newest(run.folder.parents[1], source.record, None)
    run.data(DataFacts.of_file(source.record, folder / RECORD, folders=2))
    style = read_record(folder).recipe.values["questions"]["prompt"]
    beyond: list[Task] = []
    if source.enlarged:
        beyond = named(Path(source.enlarged), source.least_tests, everything)
        run.data(DataFacts.of_file("instructions", Path(source.enlarged)))
    tasks = {task.task_id: task for task in [*everything, *beyond]}
    by_task: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    wanted = {"split": source.split, "setting": source.setting} | (
        {"variant": source.variant} if source.variant else {}
    )
    for row in read_samples(folder):
        if all(row.get(key) == value for key, value in wanted.items()) and row["failure"] != "prompt_too_long":
            by_task[row["task_id"]].append(row)
    if not by_task:
        raise UserError(f"{folder}: no completion with {wanted}")
    if unknown := sorted(by_task.keys() - tasks.keys()):
        raise UserError(f"{folder}: task {unknown[0]} is neither MBPP's nor in {source.enlarged}")
    return [_answered(tasks[number], by_task[number], style) for number in sorted(by_task)]


def _answered(task: Task, rows: Sequence[Mapping[str, Any]], style: str) -> Answered:
    rungs = tuple(
        rung(extract(row["text"], task, style), task, row["failure"], row["tests_passed"], row["passed"])
        for row in rows
    )
    return Answered(rungs, tuple((row["tests_passed"], row["tests_total"]) for row in rows))


def count(recipe: SignalRecipe, key: str, tasks: Sequence[Levels], run: Run) -> dict[str, list[dict[str, Any]]]:
    """Metrics below ``key``, and rows of the tables ``groups``, ``signal`` and ``pool``, for one source and reward."""
    least = min(sum(level.count for level in task) for task in tasks)
    sizes = [size for size in recipe.groups if size <= least]
    if not sizes:
        raise UserError(f"{key}: a task has {least} completions, fewer than every group")
    graded = any(level.reward > 0 for task in tasks for level in task if level.height < 2)
    found: dict[str, list[dict[str, Any]]] = {"groups": [], "signal": [], "pool": []}
    for size in sizes:
        each = [chances(task, size) for task in tasks]
        row: dict[str, Any] = {"group": size, "tasks": len(tasks), "completions": least}
        for outcome in OUTCOMES if graded else ("flat", "solving"):  # a pass-only reward shows nothing else
            estimate = bootstrap([one[outcome] for one in each])
            run.metric(f"{key}.g{size}.{outcome}", **asdict(estimate), unit="share")
            row |= {outcome: estimate.value, f"{outcome}_low": estimate.low, f"{outcome}_high": estimate.high}
        found["groups"].append(row)
        if graded:
            found["signal"].append({"group": size} | _signal(recipe, f"{key}.g{size}", tasks, each, size=size, run=run))
        if recipe.filter and recipe.filter.samples + size <= least:
            found["pool"].append(_filtered(recipe.filter, f"{key}.pool.g{size}", tasks, size, run))
    return found


def _signal(
    recipe: SignalRecipe,
    key: str,
    tasks: Sequence[Levels],
    each: Sequence[Mapping[Outcome, float]],
    *,
    size: int,
    run: Run,
) -> dict[str, Any]:
    """What rewards differ by: shares of the groups that vary, of the variance and of the squared advantages."""
    generator = np.random.default_rng(recipe.seeds[0])
    spread = [variance_parts(task) for task in tasks]
    pushed = [advantage_parts(task, size, recipe.draws, generator) for task in tasks]
    row = {}
    for contrast in CONTRASTS:
        parts = {
            "varied": ([one[contrast] for one in each], [1.0 - one["flat"] for one in each]),
            "variance": ([one[contrast] for one in spread], [sum(one.values()) for one in spread]),
            "advantage": ([one[contrast] for one in pushed], [sum(one.values()) for one in pushed]),
        }
        for name, (part, whole) in parts.items():
            row[f"{name}_{contrast}"] = _ratio(run, f"{key}.{name}.{contrast}", part, whole)
    return row


def _filtered(chosen: Filter, key: str, tasks: Sequence[Levels], size: int, run: Run) -> dict[str, Any]:
    """The pool that a first pass over the prompts would leave, expected, and what its groups would be."""
    both = [joint_chances(task, chosen.samples, size) for task in tasks]
    places: dict[Outcome, float] = {  # how often a task stands in the pool, by what the first pass saw of it
        outcome: float(outcome != "flat" and (outcome == "solving" or chosen.keep == "varied")) for outcome in OUTCOMES
    }
    places["solving"] *= chosen.repeats
    seen = [{one: sum(task[one, other] for other in OUTCOMES) for one in OUTCOMES} for task in both]
    whole = [sum(places[one] * task[one] for one in OUTCOMES) for task in seen]
    kept = sum(task[one] for task in seen for one in OUTCOMES if places[one])
    row: dict[str, Any] = {"group": size, "tasks": len(tasks), "kept": kept, "prompts": sum(whole)}
    for outcome in OUTCOMES:  # what the reward cannot show has no chance, and stays 0
        part = [sum(places[one] * task[one, outcome] for one in OUTCOMES) for task in both]
        row[outcome] = _ratio(run, f"{key}.{outcome}", part, whole)
    return row


def _ratio(run: Run, key: str, part: Sequence[float], whole: Sequence[float]) -> float | None:
    """Record a ratio of sums over tasks; None, and no metric, where there is nothing to divide by."""
    if not sum(whole) > 0:
        return None
    estimate = bootstrap_ratio(part, whole)
    run.metric(key, **asdict(estimate), unit="share")
    return estimate.value
