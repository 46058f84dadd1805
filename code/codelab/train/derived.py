"""Tasks for training beyond MBPP, from instruction pairs with tests; for every method that learns from execution.

Tests are derived by running: a pair becomes a task only where its own code passes its docstring's examples in the
sandbox. No task of the test split gets in: neither by id nor by question. Not covered: what makes a pair a candidate
(``codelab.tasks.enlarged``).
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from codelab.errors import UserError
from codelab.evaluate.collect import Judge
from codelab.records import DataFacts, Run
from codelab.records.files import write_atomic
from codelab.sandbox import Sample
from codelab.tasks import enlarged, instructions
from codelab.tasks.mbpp import Task, select


def derive(
    path: Path, least_tests: int, run: Run, everything: Sequence[Task], judge: Judge, *, keep: Path | None = None
) -> list[Task]:
    """The pairs whose own code passes, as tasks; the run is given the file's facts and a table of what was left out.

    Args:
        path: ``instructions.jsonl.zst``.
        least_tests: different examples that a pair must have.
        run: the run.
        everything: all tasks of MBPP.
        judge: the sandbox.
        keep: the ids that pass stand here for a continued run, so that one slow answer does not change its tasks.

    Raises:
        UserError: missing or damaged file.
    """

    def passing(found: Sequence[Task]) -> frozenset[int]:
        if keep and keep.exists():
            return frozenset(json.loads(keep.read_bytes()))
        verdicts = judge(Sample(task, 0, task.code) for task in found)
        passed = frozenset(verdict.task_id for verdict in verdicts if verdict.passed)
        if keep:
            write_atomic(keep, json.dumps(sorted(passed)).encode())
        return passed

    more = enlarged.load(path, everything, least_tests, passing)
    run.data(DataFacts.of_file("instructions", path, len(more.tasks)))
    run.table("enlarged", [{"reason": name, "pairs": count} for name, count in sorted(more.left_out.items())])
    return more.tasks


def named(path: Path, least_tests: int, everything: Sequence[Task]) -> list[Task]:
    """All candidates, which nothing has run: for what an earlier run has derived and named by id.

    Raises:
        UserError: missing or damaged file.
    """
    return enlarged.candidates(instructions.load(path), everything, least_tests).tasks


def source_of(task: Task) -> str:
    """Where a task comes from: a split of MBPP, or ``enlarged``."""
    return task.split or enlarged.SPLIT


def check_apart(tasks: Iterable[Task], everything: Sequence[Task]) -> None:
    """Refuse to train on a task of the test split.

    Raises:
        UserError: one is there, by id or by question.
    """
    test = select(list(everything), "test")
    ids, texts = {task.task_id for task in test}, {" ".join(task.text.lower().split()) for task in test}
    for task in tasks:
        if task.task_id in ids or " ".join(task.text.lower().split()) in texts:
            raise UserError(f"task {task.task_id} stands in the test split: never trained on")
