"""What GRPO's programs look like: their shape, the commonest bodies, and one task shown as each model answers it.

Programs are read as syntax trees and counted; nothing is executed. The tested function is taken to be the last one that
a program defines. Not covered: signs of answers written for the tests, which a run counts itself (``steps.csv``).
"""

import ast
from collections import Counter
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from codelab.book.facts import Facts
from codelab.book.formats import Markdown
from codelab.book.worked.ch08 import shown
from codelab.errors import UserError

_READ: WeakKeyDictionary[Facts, list[dict[str, Any]]] = WeakKeyDictionary()
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def body(text: str) -> str | None:
    """The body of the last function in one line, docstring left out, arguments called a, b, c and itself f.

    None where the text does not parse or defines no function.
    """
    function = _function(text)
    if function is None:
        return None
    names = {function.name: "f"} | {
        one.arg: letter for one, letter in zip(_arguments(function), _LETTERS, strict=False)
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return "; ".join(" ".join(ast.unparse(part).split()) for part in _statements(function))


def shapes(run: Facts, models: Mapping[str, str], key: str = "t0.6") -> list[dict[str, Any]]:
    """What a model's answers are like: a row a model, in shares of all its answers.

    Args:
        run: a run with samples.
        models: the record's names, and the book's.
        key: the sampling setting.

    Returns:
        ``name``; ``one``: the function is a single ``return``; ``echo``: it returns one of its arguments as it is;
        ``deaf``: it reads none of its arguments; ``bodies``: distinct bodies over answers; ``tokens``, mean.
    """
    rows = []
    for model, name in models.items():
        mine = answers(run, model, key)
        found = [_function(row["text"]) for row in mine]
        single = [_returned(function) for function in found]
        rows.append(
            {
                "name": name,
                "one": sum(value is not None for value in single) / len(mine),
                "echo": sum(
                    isinstance(value, ast.Name) and value.id in {one.arg for one in _arguments(function)}
                    for function, value in zip(found, single, strict=True)
                    if function is not None
                )
                / len(mine),
                "deaf": sum(function is not None and _deaf(function) for function in found) / len(mine),
                "bodies": len({body(row["text"]) for row in mine}) / len(mine),
                "tokens": sum(row["tokens"] for row in mine) / len(mine),
            }
        )
    return rows


def common(run: Facts, models: Mapping[str, str], key: str = "t0.6", most: int = 5) -> list[dict[str, Any]]:
    """The bodies that a model writes most often: a row a model and body.

    Args:
        run: a run with samples.
        models: the record's names, and the book's.
        key: the sampling setting.
        most: bodies a model.

    Returns:
        ``name``, ``body`` (as code), ``share`` of all answers, ``tasks`` that it was written for, and ``passes``, the
        share of the answers with this body that pass.
    """
    rows = []
    for model, name in models.items():
        mine = [(found, row) for row in answers(run, model, key) if (found := body(row["text"])) is not None]
        total = len(answers(run, model, key))
        for text, count in Counter(found for found, _ in mine).most_common(most):
            these = [row for found, row in mine if found == text]
            rows.append(
                {
                    "name": name,
                    "body": f"`{text}`",
                    "share": count / total,
                    "tasks": len({row["task_id"] for row in these}),
                    "passes": sum(bool(row["passed"]) for row in these) / count,
                }
            )
    return rows


def solved(run: Facts, model: str, key: str = "t0.6") -> dict[int, int]:
    """Tasks that at least one of a model's answers solves, and how many do."""
    return dict(Counter(int(row["task_id"]) for row in answers(run, model, key) if row["passed"]))


def lost(run: Facts, before: str, after: str, also: str, most_lines: int = 12) -> Markdown:
    """Of the tasks that one model solves and another never does, the one solved most often: an answer of three models.

    Of equally often solved ones the task with the lowest id; the first passing answer of ``before``, the first of
    the others.

    Args:
        run: a run with samples.
        before: solves it at least once.
        after: never does.
        also: a third model, whose answer stands last.
        most_lines: longer programs are cut, and say so.

    Raises:
        UserError: there is no such task.
    """
    gone = solved(run, before)
    for task in solved(run, after):
        gone.pop(task, None)
    if not gone:
        raise UserError(f"{run.folder}: {after} solves whatever {before} does")
    task = min(gone, key=lambda one: (-gone[one], one))
    parts = []
    for model in (before, after, also):
        mine = [row for row in answers(run, model) if int(row["task_id"]) == task]
        passing = [row for row in mine if row["passed"]]
        first = (passing if model == before else mine)[0]
        parts.append(shown(first, f"; {len(passing)} of its {len(mine)} answers pass", most_lines))
    return Markdown("\n\n".join(parts))


def blind(text: str) -> bool:
    """Whether the function reads none of its arguments, and has some."""
    function = _function(text)
    return function is not None and _deaf(function)


def answers(run: Facts, model: str, key: str = "t0.6") -> list[dict[str, Any]]:
    """A model's evaluated answers of one setting, on the split that the run evaluates.

    Raises:
        UserError: there are none.
    """
    split = run.record.recipe.values["questions"]["split"]
    mine = [
        row
        for row in _rows(run)
        if row.get("variant") == model and row.get("setting") == key and row.get("split") == split
    ]
    if not mine:
        raise UserError(f"{run.folder}: no answers of {model} at {key} on {split}")
    return mine


def _rows(run: Facts) -> list[dict[str, Any]]:
    """A run's samples, read once as long as the run is in use: a chapter asks for many models of it."""
    if run not in _READ:
        _READ[run] = run.samples()
    return _READ[run]


def _function(text: str) -> ast.FunctionDef | None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return found[-1] if found else None


def _arguments(function: ast.FunctionDef) -> list[ast.arg]:
    given = function.args
    rest = [one for one in (given.vararg, given.kwarg) if one is not None]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *rest]


def _statements(function: ast.FunctionDef) -> list[ast.stmt]:
    """Without a docstring, unless that is all."""
    return function.body[1:] if ast.get_docstring(function) is not None and len(function.body) > 1 else function.body


def _returned(function: ast.FunctionDef | None) -> ast.expr | None:
    """What a function returns that is a single ``return`` of something."""
    if function is None:
        return None
    statements = _statements(function)
    alone = statements[0] if len(statements) == 1 else None
    return alone.value if isinstance(alone, ast.Return) else None


def _deaf(function: ast.FunctionDef) -> bool:
    names = {one.arg for one in _arguments(function)}
    read = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return bool(names) and not names & read
