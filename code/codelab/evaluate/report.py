"""From samples to the metrics and tables of a record: pure functions of what is on disk.

Not covered: comparing runs (``codelab compare``).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from codelab.evaluate.metrics import Estimate, across_seeds, bootstrap, failure_table, pass_at_k, wilson
from codelab.evaluate.store import Sink

Rows = Sequence[Mapping[str, Any]]
GREEDY = "greedy"


def setting_name(temperature: float) -> str:
    """How records name a sampling setting: ``greedy``, or ``t0.6``."""
    return f"t{temperature:g}" if temperature > 0 else GREEDY


def counts(rows: Rows) -> tuple[list[int], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Task ids in order, completions a task and passing completions a task."""
    total: dict[int, int] = defaultdict(int)
    passed: dict[int, int] = defaultdict(int)
    for row in rows:
        total[row["task_id"]] += 1
        passed[row["task_id"]] += bool(row["passed"])
    tasks = sorted(total)
    return tasks, np.array([total[task] for task in tasks]), np.array([passed[task] for task in tasks])


def task_scores(rows: Rows, k: int) -> dict[int, float]:
    """pass@k of each task.

    Raises:
        ValueError: a task has fewer than ``k`` completions.
    """
    tasks, total, passed = counts(rows)
    return dict(zip(tasks, pass_at_k(total, passed, k).tolist(), strict=True))


def score(rows: Rows, k: int) -> Estimate:
    """pass@k over tasks: Wilson's interval where each task has one completion, else the task-level bootstrap.

    Where no completion passes (or every one does) the bootstrap has nothing to resample and would claim certainty; then
    Wilson's interval of the solved tasks stands in, which is wider: a task counts as solved by any of its completions.
    """
    _, total, passed = counts(rows)
    if k == 1 and np.all(total == 1):
        return wilson(int(passed.sum()), total.size)
    if not passed.any() or np.array_equal(passed, total):
        return replace(wilson(int(np.count_nonzero(passed)), total.size), method="Wilson, solved tasks")
    return bootstrap(pass_at_k(total, passed, k))


def summarise(run: Sink, rows: Rows, main_split: str, ks: Collection[int], one_liners: Collection[int]) -> None:
    """Write all metrics and tables of an evaluation into its record.

    Args:
        run: the run.
        rows: its samples.
        main_split: metrics of this split carry no split in their name.
        ks: values of k for sampled settings.
        one_liners: ids of the tasks that a single builtin or operator solves.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["split"], row["setting"]].append(row)
    table = []
    for (split, setting), group in groups.items():
        prefix = f"{setting}." if split == main_split else f"{split}.{setting}."
        per_task = min(counts(group)[1].tolist())
        for k in [k for k in sorted({1, *ks}) if k <= per_task]:
            estimate = score(group, k)
            _metric(run, f"{prefix}pass@{k}", estimate)
            table.append({"split": split, "setting": setting, "k": k, **asdict(estimate)})
            _by_seed(run, f"{prefix}pass@{k}.seeds", group, k)
        if split == main_split:
            _solved(run, prefix, group, one_liners, [k for k in sorted({1, *ks}) if k <= per_task])
        cut = sum(row["finish"] == "length" for row in group)
        run.metric(f"{prefix}hit_length_limit", cut / len(group), n=len(group), unit="share")
        run.metric(f"{prefix}tokens", sum(row["tokens"] for row in group) / len(group), n=len(group), unit="tokens")
    run.table("scores", table)
    run.table("failures", failure_table(rows, lambda row: f"{row['split']} {row['setting']}"))
    run.table("tests_passed", _partial(groups))
    for name, failure in (("timeouts", "timeout"), ("prompts_too_long", "prompt_too_long")):
        run.metric(name, sum(row["failure"] == failure for row in rows), n=len(rows), unit="completions")


def _metric(run: Sink, name: str, estimate: Estimate) -> None:
    run.metric(name, **asdict(estimate), unit="share")


def _by_seed(run: Sink, name: str, group: Rows, k: int) -> None:
    seeds = sorted({row["seed"] for row in group})
    if len(seeds) < 2:
        return
    by_seed = [[row for row in group if row["seed"] == seed] for seed in seeds]
    if all(min(counts(rows)[1].tolist()) >= k for rows in by_seed):
        _metric(run, name, across_seeds([score(rows, k).value for rows in by_seed]))


def _solved(run: Sink, prefix: str, group: Rows, one_liners: Collection[int], ks: Sequence[int]) -> None:
    """How many tasks were solved at least once, and of what kind they are."""
    tasks, _, passed = counts(group)
    solved = [task for task, c in zip(tasks, passed, strict=True) if c]
    _metric(run, f"{prefix}solved", wilson(len(solved), len(tasks)))
    simple = sum(task in one_liners for task in solved)
    run.metric(f"{prefix}solved_tasks", len(solved), n=len(tasks), unit="tasks")
    run.metric(f"{prefix}solved_one_liners", simple, n=len(solved), unit="tasks")
    if solved:
        _metric(run, f"{prefix}solved_one_liner_share", wilson(simple, len(solved)))
    run.metric("one_liner_tasks", sum(task in one_liners for task in tasks), n=len(tasks), unit="tasks")
    for name, wanted in (("one_liners", True), ("others", False)):
        part = [row for row in group if (row["task_id"] in one_liners) == wanted]
        for k in ks if part else []:
            _metric(run, f"{prefix}pass@{k}.{name}", score(part, k))


def _partial(groups: Mapping[tuple[str, str], Rows]) -> list[dict[str, Any]]:
    """How many tests completions hold: shows progress that pass@k, which asks for all of them, cannot."""
    table = []
    for (split, setting), group in groups.items():
        held: dict[tuple[int, int], int] = defaultdict(int)
        for row in group:
            held[row["tests_passed"], row["tests_total"]] += 1
        table += [
            {"split": split, "setting": setting, "held": k, "of": n, "count": c, "share": c / len(group)}
            for (k, n), c in sorted(held.items(), key=lambda item: (item[0][1], item[0][0]))
        ]
    return table
