"""Generates chunk after chunk and judges each while the next is generated; every finished chunk is on disk.

A chunk's completions depend on the recipe and the chunk alone, so that a killed run, continued, writes the same
samples. Not covered: what is computed from them (``codelab.evaluate.report``).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from codelab.errors import Paused
from codelab.evaluate.engines import Asker
from codelab.evaluate.progress import Progress
from codelab.evaluate.store import Store
from codelab.models.generation import Completion, Generator, Sampling
from codelab.sandbox import Sample, Verdict
from codelab.tasks.mbpp import Task

Judge = Callable[[Iterable[Sample]], Iterator[Verdict]]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Chunk:
    """Some tasks of a split under one sampling setting; ``n`` completions each."""

    split: str
    setting: str
    seed: int
    sampling: Sampling
    n: int
    tasks: tuple[Task, ...]

    @property
    def key(self) -> str:
        """Names the chunk in ``steps.csv``, from which a continued run sees what is done."""
        first, last = self.tasks[0].task_id, self.tasks[-1].task_id
        return f"{self.split}/{self.setting}/{self.seed}/{first}-{last}"

    def cut(self, size: int) -> "list[Chunk]":
        """The same in chunks of ``size`` tasks."""
        return [replace(self, tasks=self.tasks[start : start + size]) for start in range(0, len(self.tasks), size)]


@dataclass(frozen=True)
class Judged:
    """A chunk's samples and what they cost."""

    rows: Rows
    generate_seconds: float
    execute_seconds: float
    tokens: int


def missing(chunks: Sequence[Chunk], run: Store) -> list[Chunk]:
    """Chunks that are not on disk yet; samples of a chunk that was cut short are dropped first."""
    steps = run.steps_so_far()
    whole = sum(int(step["samples"]) for step in steps)
    if len(run.samples_so_far()) != whole:
        run.truncate("samples", whole)
    done = {step["chunk"] for step in steps}
    return [chunk for chunk in chunks if chunk.key not in done]


def collect(chunks: Sequence[Chunk], engine: Generator, judge: Judge, ask: Asker, run: Store) -> None:
    """Generate and judge chunks, writing the samples of each as soon as it is judged.

    Raises:
        Paused: the time that the command was allowed is over; what was generated is judged and kept.
        RuntimeError: the sandbox failed on the same sample twice.
    """
    with (
        Progress("evaluate", sum(len(chunk.tasks) * chunk.n for chunk in chunks)) as progress,
        ThreadPoolExecutor(1, "judge") as thread,
    ):
        waiting: tuple[Chunk, Future[Judged]] | None = None
        longest = 0.0
        for chunk in chunks:
            if run.time_is_up(reserve=longest):  # the next chunk may take as long as the longest one so far
                break
            began = time.perf_counter()
            answers = engine.generate([ask(task) for task in chunk.tasks], chunk.n, chunk.sampling, chunk.seed)
            spent = time.perf_counter() - began
            longest = max(longest, spent)
            if waiting:
                _write(*waiting, run, progress)
            waiting = chunk, thread.submit(_judge, chunk, answers, spent, judge, ask)
        if waiting:
            _write(*waiting, run, progress)
    if missing(chunks, run):
        raise Paused


def _judge(chunk: Chunk, answers: list[list[Completion]], spent: float, judge: Judge, ask: Asker) -> Judged:
    began = time.perf_counter()
    samples = {
        (task.task_id, index): Sample(task, index, ask.program(task, completion.text))
        for task, row in zip(chunk.tasks, answers, strict=True)
        for index, completion in enumerate(row)
        if completion.finish != "too_long"
    }
    verdicts = {(verdict.task_id, verdict.index): verdict for verdict in judge(samples.values())}
    again = [samples[key] for key, verdict in verdicts.items() if verdict.failure == "sandbox_error"]
    if again:
        verdicts |= {(verdict.task_id, verdict.index): verdict for verdict in judge(again)}
    for key, verdict in verdicts.items():
        if verdict.failure == "sandbox_error":
            # Neither passed nor failed: a score that counted it either way would be wrong.
            raise RuntimeError(f"the sandbox failed twice on task {key[0]}, completion {key[1]}: {verdict.detail}")
    rows = [
        _row(chunk, task, index, completion, verdicts.get((task.task_id, index)))
        for task, row in zip(chunk.tasks, answers, strict=True)
        for index, completion in enumerate(row)
    ]
    tokens = sum(completion.tokens for row in answers for completion in row)
    return Judged(rows, spent, time.perf_counter() - began, tokens)


def _row(chunk: Chunk, task: Task, index: int, completion: Completion, verdict: Verdict | None) -> dict[str, Any]:
    row = {
        "split": chunk.split,
        "setting": chunk.setting,
        "seed": chunk.seed,
        "task_id": task.task_id,
        "index": index,
        "text": completion.text,
        "finish": completion.finish,
        "tokens": completion.tokens,
    }
    if completion.logprob is not None:
        row["logprob"] = round(completion.logprob, 4)
    if verdict is None:
        return row | {"passed": False, "failure": "prompt_too_long", "tests_passed": 0, "tests_total": len(task.tests)}
    outcome = verdict.row()
    wanted = ("passed", "failure", "detail", "tests_passed", "tests_total", "retried", "seconds")
    return row | {name: outcome[name] for name in wanted}


def _write(chunk: Chunk, waiting: "Future[Judged]", run: Store, progress: Progress) -> None:
    judged = waiting.result()
    for row in judged.rows:
        run.sample(**row)
    # The step comes last: a chunk counts as done only when all its samples are on disk.
    run.step(
        chunk=chunk.key,
        split=chunk.split,
        setting=chunk.setting,
        seed=chunk.seed,
        tasks=len(chunk.tasks),
        samples=len(judged.rows),
        passed=sum(bool(row["passed"]) for row in judged.rows),
        tokens=judged.tokens,
        generate_seconds=round(judged.generate_seconds, 3),
        execute_seconds=round(judged.execute_seconds, 3),
    )
    progress.advance(len(judged.rows), f"{chunk.split} {chunk.setting}")
