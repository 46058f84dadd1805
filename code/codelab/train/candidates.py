"""Judged programs for preference pairs: a model's samples, the reference solutions and mutants of them.

Nothing is assumed to fail: each mutant runs in the sandbox, and so does the reference as its syntax tree prints it. The
verdicts are kept on disk, so that a continued run pairs the same programs. Not covered: how programs are paired
(``codelab.train.pairs``).
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from codelab.evaluate.collect import Judge
from codelab.evaluate.engines import Asker
from codelab.records import Strict
from codelab.records.files import write_atomic
from codelab.sandbox import Sample
from codelab.tasks.mbpp import Task
from codelab.tasks.mutate import mutant
from codelab.train.pairs import Candidate, Source, normal_form, printed

_UNPAIRED = frozenset({"sandbox_error", "prompt_too_long"})


class MutantSettings(Strict):
    """How many wrong versions of each reference are tried."""

    per_task: int = Field(default=8, ge=0, description="mutants tried a task; the ones that pass are dropped")
    changes: tuple[int, ...] = Field(default=(1, 1, 2), min_length=1, description="changes of a mutant, in turn")


def own(rows: Iterable[Mapping[str, Any]], tasks: Mapping[int, Task], ask: Asker) -> list[Candidate]:
    """The programs in a model's judged samples; cut ones and ones without a program are left out."""
    found = []
    for row in rows:
        if row["failure"] in _UNPAIRED or row["finish"] == "length":
            continue  # a program that the length limit cut says nothing about how programs should end
        program = ask.program(tasks[row["task_id"]], row["text"]).strip()
        if program:
            found.append(Candidate(row["task_id"], program + "\n", "own", row["failure"]))
    return found


def solved(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """How often a model's samples pass, by source of the task: what it was trained on, it may recite."""
    by_task: dict[str, dict[int, list[bool]]] = {}
    for row in rows:
        by_task.setdefault(row["split"], {}).setdefault(row["task_id"], []).append(bool(row["passed"]))
    return [
        {
            "source": source,
            "tasks": len(tasks),
            "samples": sum(map(len, tasks.values())),
            "pass@1": sum(sum(passed) / len(passed) for passed in tasks.values()) / len(tasks),
            "solved": sum(any(passed) for passed in tasks.values()),
        }
        for source, tasks in by_task.items()
    ]


def variants(task: Task, settings: MutantSettings, seed: int) -> list[tuple[Source, str]]:
    """The reference as its tree prints it, and mutants, printed alike, that parse and differ from it."""
    made: list[tuple[Source, str]] = [("reference", printed(task.code))]
    seen = {normal_form(task.code)}
    for number in range(settings.per_task):
        digest = hashlib.sha256(f"{seed}/{task.task_id}/{number}".encode()).digest()
        changed = mutant(task.code, int.from_bytes(digest[:8], "big"), settings.changes[number % len(settings.changes)])
        form = normal_form(changed)
        if form not in seen and _parses(changed):
            seen.add(form)
            made.append(("mutant", changed))
    return made


def judged(tasks: Sequence[Task], settings: MutantSettings, seed: int, judge: Judge, path: Path) -> list[Candidate]:
    """References and mutants with their verdicts, from ``path`` where an earlier process has judged them.

    Raises:
        RuntimeError: the sandbox failed on the same program twice.
    """
    if path.exists():
        return [Candidate(**row) for row in json.loads(path.read_bytes())]
    programs = {
        (task.task_id, index): (task, source, program)
        for task in tasks
        for index, (source, program) in enumerate(variants(task, settings, seed))
    }
    samples = {key: Sample(task, key[1], program) for key, (task, _, program) in programs.items()}
    verdicts = {(verdict.task_id, verdict.index): verdict for verdict in judge(samples.values())}
    again = [samples[key] for key, verdict in verdicts.items() if verdict.failure == "sandbox_error"]
    if again:
        verdicts |= {(verdict.task_id, verdict.index): verdict for verdict in judge(again)}
    found = []
    for key, (task, source, program) in programs.items():
        verdict = verdicts[key]
        if verdict.failure == "sandbox_error":
            raise RuntimeError(f"the sandbox failed twice on task {task.task_id}: {verdict.detail}")
        found.append(Candidate(task.task_id, program, source, verdict.failure))
    write_atomic(path, json.dumps([asdict(one) for one in found]).encode())
    return found


def summary(candidates: Iterable[Candidate]) -> list[dict[str, Any]]:
    """How many programs of each source passed or failed in which way."""
    counts: dict[tuple[str, str], int] = {}
    for one in candidates:
        counts[one.source, one.failure] = counts.get((one.source, one.failure), 0) + 1
    return [
        {"source": source, "failure": failure, "programs": count}
        for (source, failure), count in sorted(counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    ]


def _parses(program: str) -> bool:
    try:
        ast.parse(program)
    except SyntaxError:
        return False
    return True
