"""What models of several runs answered to test tasks, training by training, for chapter 10.

Answers are counted, and programs read as syntax trees; nothing is executed. Not covered: scores and differences, which
are in the records, and how a program's shape is read (:mod:`codelab.book.worked.ch10_programs`).
"""

import ast
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codelab.book.facts import Facts
from codelab.book.worked import ch10, contest, moved
from codelab.book.worked.ch08 import CLASSES
from codelab.book.worked.ch10_programs import answers, blind, shapes


def written(sides: Sequence[tuple[Facts, Mapping[str, str]]], key: str = "t0.6") -> list[dict[str, Any]]:
    """What became of a model's answers: a row a model, in shares of its answers.

    Args:
        sides: runs, each with its models' names in the record and in the book.
        key: the sampling setting.

    Returns:
        ``name``; a column a class of failure, by the record's name; ``some``: some tests hold and not all; ``kl``: nats
        a completion from the start at the last look, None for the start itself; the columns of
        :func:`codelab.book.worked.ch10_programs.shapes`.
    """
    rows = []
    for run, names in sides:
        last = {f"{row['arm']}-seed{row['seed']}": row["kl"] for row in ch10.looks(run).to_dict("records")}
        for model, name in names.items():
            found = contest.outcomes(run, {name: [model]}, key).set_index("class")["percent"] / 100
            rows.append(
                {
                    "name": name,
                    **{kind: float(found.get(title, 0.0)) for kind, title in CLASSES.items()},
                    "some": partial(run, model, key),
                    "kl": last.get(model),
                    **shapes(run, {model: name}, key)[0],
                }
            )
    return rows


def partial(run: Facts, model: str, key: str = "t0.6") -> float:
    """Share of a model's answers for which some tests hold and not all.

    Args:
        run: a run with arms.
        model: of the record.
        key: the sampling setting.
    """
    frame = run.frame(f"{model}.tests_passed")
    mine = frame[frame["setting"] == key]
    return float(mine[(mine["held"] > 0) & (mine["held"] < mine["of"])]["share"].sum())


def blind_among_partial(run: Facts, model: str, key: str = "t0.6") -> float:
    """Of a model's answers that pass some tests and not all, the share whose function reads none of its arguments."""
    mine = [row for row in answers(run, model, key) if 0 < row["tests_passed"] < row["tests_total"]]
    return sum(blind(row["text"]) for row in mine) / len(mine)


@dataclass(frozen=True)
class Part:
    """What some tasks are to an arm, in shares.

    ``before`` and ``after``: of the start's and the arm's answers to them that pass; ``calling``: of the arm's passing
    ones that call one function; ``owed``: of the arm's gain in pass@1 over all tasks that these make, over 1 if the
    others lose.
    """

    before: float
    after: float
    calling: float
    owed: float


def part(run: Facts, models: Collection[str], tasks: Collection[int], call: str, key: str = "t0.6") -> Part:
    """Set some tasks apart from all others.

    Args:
        run: a run with samples.
        models: of one arm, pooled.
        tasks: ids.
        call: the function's name.
        key: the sampling setting.
    """
    table = moved.tasks(run, ["start"], list(models), key)
    mine = table[table["task"].isin(tasks)]
    good = [
        row for model in models for row in answers(run, model, key) if row["passed"] and int(row["task_id"]) in tasks
    ]
    return Part(
        before=float(mine["before"].mean()) / 100,
        after=float(mine["after"].mean()) / 100,
        calling=sum(call in _called(row["text"]) for row in good) / max(1, len(good)),
        owed=float(mine["change"].sum() / table["change"].sum()),
    )


def again(before: Facts, after: Facts, model: str, key: str = "t0.6") -> tuple[int, int]:
    """Tasks that the first run's start solves at least once and a model solves too, and those that it alone solves."""
    first, second = (
        {int(row["task_id"]) for row in answers(run, name, key) if row["passed"]}
        for run, name in ((before, "start"), (after, model))
    )
    return len(first & second), len(second - first)


def _called(text: str) -> set[str]:
    """Names of functions and methods that a program that parses calls."""
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return {
        one.id if isinstance(one, ast.Name) else one.attr for one in calls if isinstance(one, ast.Name | ast.Attribute)
    }
