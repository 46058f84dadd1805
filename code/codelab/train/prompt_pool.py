"""Which tasks GRPO asks: MBPP's training splits, pairs of the corpus with tests, and how a first pass chooses them.

No task of the test split gets in: neither by id, nor (from the corpus) by name or words. Sampling and judging are the
caller's. Not covered: the order of prompts, which is trl's sampler's, seeded by the unit.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.evaluate.collect import Chunk, Judge
from codelab.evaluate.engines import Asker
from codelab.evaluate.report import setting_name
from codelab.models.generation import Sampling
from codelab.records import Run
from codelab.tasks.mbpp import Task
from codelab.train.derived import check_apart, derive, source_of
from codelab.train.grpo_recipe import GrpoRecipe
from codelab.train.pairs import usable
from codelab.train.rewards import Rung, reward, rung


@dataclass(frozen=True)
class Stats:
    """What the start did with one task: completions, how many passed, and the spread of the first arm's rewards."""

    task: Task
    completions: int
    passed: int
    mean: float
    varied: bool

    @property
    def solvable(self) -> bool:
        """Some completions pass and some do not."""
        return 0 < self.passed < self.completions


def gather(recipe: GrpoRecipe, run: Run, everything: Sequence[Task], judge: Judge) -> list[Task]:
    """All tasks that may be asked; corpus tasks only where their own code passes.

    Raises:
        UserError: a file is missing, or there is no task.
    """
    limit = recipe.prompts.limit
    tasks = [task for split in recipe.prompts.splits for task in usable(everything, (split,))[:limit]]
    if recipe.prompts.enlarged:
        found = derive(Path(recipe.prompts.enlarged), recipe.prompts.least_tests, run, everything, judge)
        tasks += found[:limit]
    if not tasks:
        raise UserError("recipe: prompts: no task is left")
    check_apart(tasks, everything)
    return tasks


def chunks(recipe: GrpoRecipe, tasks: Sequence[Task]) -> list[Chunk]:
    """What is asked of the start to choose prompts, source by source; nothing without a filter."""
    chosen = recipe.prompts.filter
    if chosen is None:
        return []
    sampling = Sampling(recipe.training.length, chosen.temperature, recipe.training.top_p)
    by_source: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        by_source[source_of(task)].append(task)
    name = setting_name(chosen.temperature)
    return [
        piece
        for source, part in by_source.items()
        for piece in Chunk(source, name, recipe.seeds[0], sampling, chosen.samples, tuple(part)).cut(recipe.chunk_tasks)
    ]


def measure(recipe: GrpoRecipe, tasks: Sequence[Task], rows: Iterable[Mapping[str, Any]], ask: Asker) -> list[Stats]:
    """What the start's judged samples say of each task; tasks whose prompt did not fit are left out."""
    weights = recipe.rewards[next(iter(recipe.arms.values())).reward]
    by_task: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["failure"] != "prompt_too_long":
            by_task[row["task_id"]].append(row)
    stats = []
    for task in tasks:
        found = by_task.get(task.task_id, [])
        values = []
        for row in found:
            program = ask.program(task, row["text"])
            reached: Rung = rung(program, task, row["failure"], row["tests_passed"], row["passed"])
            value = reward(weights, reached, row["tests_passed"], row["tests_total"])
            if value is not None:
                values.append(value)
        if values:
            passed = sum(bool(row["passed"]) for row in found)
            mean = sum(values) / len(values)
            stats.append(Stats(task, len(values), passed, mean, max(values) - min(values) > 1e-8))
    return stats


def choose(recipe: GrpoRecipe, stats: Sequence[Stats]) -> list[Task]:
    """The pool: tasks that the filter keeps, those that the start sometimes solves as often as the recipe says.

    Raises:
        UserError: no task is kept.
    """
    chosen = recipe.prompts.filter
    if chosen is None:
        return [one.task for one in stats]
    kept = [one for one in stats if (one.solvable if chosen.keep == "solvable" else one.varied)]
    if not kept:
        raise UserError(
            f"recipe: prompts.filter: none of {len(stats)} tasks is {chosen.keep} in {chosen.samples} completions "
            "each; the start is too weak or too sure: take more samples, another temperature, or keep: varied"
        )
    return [one.task for one in kept for _ in range(chosen.repeats if one.solvable else 1)]


def summary(stats: Sequence[Stats], pool: Sequence[Task]) -> list[dict[str, Any]]:
    """The pool by source, the last row the whole."""
    kept = {task.task_id for task in pool}
    groups: dict[str, list[Stats]] = defaultdict(list)
    for one in stats:
        groups[source_of(one.task)].append(one)
        groups["all"].append(one)
    everything = groups.pop("all", [])
    return [
        {
            "source": name,
            "tasks": len(group),
            "kept": sum(one.task.task_id in kept for one in group),
            "prompts": sum(source_of(task) == name or name == "all" for task in pool),
            "solvable": sum(one.solvable for one in group),
            "varied": sum(one.varied for one in group),
            "pass@1": sum(one.passed / one.completions for one in group) / max(1, len(group)),
            "reward": sum(one.mean for one in group) / max(1, len(group)),
        }
        for name, group in [*groups.items(), ("all", everything)]
    ]
