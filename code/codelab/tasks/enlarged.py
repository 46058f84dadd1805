"""Tasks beyond MBPP: instruction pairs of the corpus whose docstring gave examples, as tasks with tests.

A pair becomes a task when its examples can be judged, its own code passes them in the sandbox, and neither its name nor
its words are those of a task of MBPP's test split. Ids begin at :data:`FIRST` and follow the file's order. The corpus
was cleaned of MBPP by five further rules before the pairs were made. Not covered: making the pairs
(``codelab.tasks.corpus``) and running them (the caller hands its sandbox in).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codelab.tasks import instructions
from codelab.tasks.instructions import Instruction
from codelab.tasks.mbpp import Task, select

FIRST = 100_000
"""Id of the file's first pair; MBPP's end at 974."""
SPLIT = "enlarged"
_WORD = re.compile(r"[a-z0-9]+")


@dataclass
class Enlarged:
    """The tasks, and how many pairs were left out for which reason."""

    tasks: list[Task] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        """Count one pair that is left out."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


def candidates(pairs: Sequence[Instruction], mbpp: Iterable[Task], least_tests: int) -> Enlarged:
    """Pairs with enough different tests that are none of MBPP's test split, as tasks that nothing has run yet.

    Args:
        pairs: in file order.
        mbpp: all tasks of MBPP.
        least_tests: different examples that a pair must have; a single one invites a constant answer.
    """
    kept_out = select(list(mbpp), "test")
    names, words = {_plain(task.entry_point) for task in kept_out}, {_words(task.text) for task in kept_out}
    found = Enlarged()
    for place, pair in enumerate(pairs):
        tests = tuple(dict.fromkeys(pair.examples))
        if len(tests) < least_tests:
            found.drop("too few examples")
        elif _plain(pair.entry_point) in names or _words(pair.text) in words:
            found.drop("in the test split")
        elif len({test.rpartition("==")[2].strip() for test in tests}) < min(2, len(tests)):
            found.drop("one answer to every example")
        else:
            found.tasks.append(Task(FIRST + place, pair.text, pair.code, tests=tests))
    return found


def load(
    path: str | Path, mbpp: Iterable[Task], least_tests: int, passing: Callable[[Sequence[Task]], frozenset[int]]
) -> Enlarged:
    """Read the pairs and keep those whose own code passes.

    Args:
        path: ``instructions.jsonl.zst``.
        mbpp: all tasks of MBPP.
        least_tests: see :func:`candidates`.
        passing: runs each task's own code and gives the ids of those that pass.

    Raises:
        UserError: missing or damaged file.
    """
    found = candidates(instructions.load(path), mbpp, least_tests)
    whole = passing(found.tasks)
    for task in found.tasks:
        if task.task_id not in whole:
            found.drop("own code does not pass")
    found.tasks = [task for task in found.tasks if task.task_id in whole]
    return found


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))
