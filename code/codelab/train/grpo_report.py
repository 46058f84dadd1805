"""Whether answers were written for the tests: how many of the passing completions show it, before and after training.

Not covered: scores and paired differences (``codelab.train.dpo_report``) and the rewards of training, which
``steps.csv`` holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codelab.evaluate.engines import Asker
from codelab.evaluate.store import Sink
from codelab.tasks.mbpp import Task
from codelab.train.hardcoding import sign
from codelab.train.rewards import RUNGS, rung

Rows = Sequence[Mapping[str, Any]]


def hacking(run: Sink, rows: Mapping[str, Rows], tasks: Mapping[int, Task], ask: Asker) -> None:
    """Write the tables ``hard_coded`` (signs in passing completions) and ``rungs`` (how far completions came).

    Args:
        run: the run.
        rows: judged samples of the evaluated split by model.
        tasks: by id.
        ask: the prompt style, with the tests that it shows.
    """
    coded, ladder = [], []
    for name, samples in rows.items():
        for setting in dict.fromkeys(row["setting"] for row in samples):
            group = [row for row in samples if row["setting"] == setting]
            programs = [(row, ask.program(tasks[row["task_id"]], row["text"])) for row in group]
            passing = [(tasks[row["task_id"]], program) for row, program in programs if row["passed"]]
            signs = [sign(program, task, ask.style.tests) for task, program in passing]
            coded.append(
                {
                    "model": name,
                    "setting": setting,
                    "passing": len(passing),
                    "constant": signs.count("constant"),
                    "table": signs.count("table"),
                    "share": sum(map(bool, signs)) / max(1, len(signs)),
                }
            )
            reached = [
                rung(program, tasks[row["task_id"]], row["failure"], row["tests_passed"], bool(row["passed"]))
                for row, program in programs
            ]
            row: dict[str, Any] = {"model": name, "setting": setting, "completions": len(group)}
            ladder.append(row | {str(one): reached.count(one) / max(1, len(reached)) for one in RUNGS})
    run.table("hard_coded", coded)
    run.table("rungs", ladder)
