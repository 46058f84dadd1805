"""Which tasks a training moved and how answers end since, counted from a run's samples, for chapter 8.

Samples of several units (an arm's seeds) are pooled and counted, nothing else. Not covered: scores and intervals, which
are in the record (:mod:`codelab.book.worked.contest` shows them).
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import Markdown
from codelab.book.worked.ch08 import shown
from codelab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

_DEFINED = re.compile(r"^def\s+(\w+)", re.MULTILINE)


def tasks(run: Facts, before: Sequence[str], after: Sequence[str], key: str = "t0.6") -> "pd.DataFrame":
    """How often each task's samples pass before and after: a row a task, in the order of the task ids.

    Args:
        run: a run with arms.
        before: models of the record that are pooled.
        after: others.
        key: the sampling setting.

    Returns:
        Columns ``task``; ``function``, the first that a passing sample defines (None where none passes); ``before``,
        ``after`` (per cent of samples) and ``change`` (percentage points).

    Raises:
        UserError: a side has no samples.
    """
    import pandas as pd  # noqa: PLC0415

    tried: dict[tuple[int, str], list[bool]] = {}
    named: dict[int, str] = {}
    for row in _samples(run, key):
        task = int(row["task_id"])
        for side, models in (("before", before), ("after", after)):
            if row["variant"] in models:
                tried.setdefault((task, side), []).append(bool(row["passed"]))
                if row["passed"] and task not in named and (found := _DEFINED.findall(row["text"])):
                    named[task] = found[0]
    for side, models in (("before", before), ("after", after)):
        if not any(part == side for _, part in tried):
            raise UserError(f"{run.folder}: no samples of {', '.join(models)} at {key}")
    share = {cell: 100 * sum(passed) / len(passed) for cell, passed in tried.items()}
    both = sorted({task for task, _ in tried if (task, "before") in tried and (task, "after") in tried})
    return pd.DataFrame(
        [
            {"task": task, "function": named.get(task), "before": share[task, "before"], "after": share[task, "after"]}
            for task in both
        ]
    ).assign(change=lambda table: table["after"] - table["before"])


def endings(run: Facts, models: Mapping[str, Sequence[str]], key: str = "t0.6") -> list[dict[str, Any]]:
    """How answers end: a row a model, in per cent of its samples.

    Args:
        run: a run with arms.
        models: the book's name and the record's models that are pooled under it.
        key: the sampling setting.

    Returns:
        ``name``; ``own`` (by the end token), ``rule`` (by the stop rule, after a complete program), ``limit`` (cut by
        the length limit); ``tokens``, mean of a sample; ``unparsed``, per cent of those that were not cut that do not
        parse. Prompts that did not fit are left out.
    """
    rows = []
    answers = [row for row in _samples(run, key) if row["finish"] in ("eos", "stop", "length")]
    for name, parts in models.items():
        mine = [row for row in answers if row["variant"] in parts]
        if not mine:
            raise UserError(f"{run.folder}: no samples of {', '.join(parts)} at {key}")
        whole = [row for row in mine if row["finish"] != "length"]
        row: dict[str, Any] = {"name": name, "tokens": sum(row["tokens"] for row in mine) / len(mine)}
        for column, finish in (("own", "eos"), ("rule", "stop"), ("limit", "length")):
            row[column] = 100 * sum(each["finish"] == finish for each in mine) / len(mine)
        row["unparsed"] = 100 * sum(each["failure"] == "syntax" for each in whole) / max(1, len(whole))
        rows.append(row)
    return rows


def passing(run: Facts, models: Sequence[str], task: int, key: str = "t0.6") -> Markdown:
    """The first passing sample of a task, as a code block under one line that names it.

    Args:
        run: a run with arms.
        models: of the record, in the order in which they were evaluated.
        task: its id.
        key: the sampling setting.

    Raises:
        UserError: none passes.
    """
    for row in _samples(run, key):
        if row["variant"] in models and int(row["task_id"]) == task and row["passed"]:
            return shown(row)
    raise UserError(f"{run.folder}: no sample of {', '.join(models)} passes task {task} at {key}")


def _samples(run: Facts, key: str) -> list[dict[str, Any]]:
    """Evaluated samples of one setting, on the split that the run evaluates."""
    split = run.record.recipe.values["questions"]["split"]
    return [row for row in run.samples() if row.get("setting") == key and row.get("split") == split]
