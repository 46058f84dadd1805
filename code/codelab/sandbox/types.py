"""What goes into the sandbox and what comes out: samples, limits and verdicts.

Not covered: how a verdict is reached (``codelab.sandbox.pool``).
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from codelab.tasks.mbpp import Task

Failure = Literal["none", "syntax", "missing_name", "exception", "wrong_value", "timeout", "killed", "sandbox_error"]
"""Why a sample did not pass; ``none`` where it did.

``syntax``: the program does not compile. ``missing_name``: a name that the test or the program needs is not defined.
``exception``: anything else was raised. ``wrong_value``: a call answered, but the test does not hold (also: the answer
is not a plain value). ``timeout``: CPU or wall time ran out. ``killed``: the process ended before it answered every
call, or broke a limit. ``sandbox_error``: the sandbox itself failed; says nothing about the program and must not be
scored as a failure.
"""


@dataclass(frozen=True)
class Limits:
    """What one sample may use.

    Attributes:
        cpu_seconds: CPU time of the whole sample; the limit that decides, since it does not depend on the load.
        wall_seconds: real time, for programs that sleep or wait.
        memory_bytes: address space.
        threads: threads beside the first; processes are refused.
        output_bytes: everything that the sample may answer.
        disk_bytes: what it may write into its own temporary folder; also the largest file.
        open_files: descriptors.
    """

    cpu_seconds: float = 0.5
    wall_seconds: float = 5.0
    memory_bytes: int = 1 << 30
    threads: int = 16
    output_bytes: int = 1 << 20
    disk_bytes: int = 16 << 20
    open_files: int = 64


@dataclass(frozen=True)
class Sample:
    """One completion, ready to run: the program is what ``prompts.extract`` returned.

    Attributes:
        task: the task that it answers; its tests stay in the judging process.
        index: number of the completion within its task. ``(task.task_id, index)`` names the sample in a batch.
        program: Python source.
        challenge: judge by the challenge tests too.
    """

    task: Task
    index: int
    program: str
    challenge: bool = False

    @property
    def key(self) -> tuple[int, int]:
        """What names the sample within a batch."""
        return self.task.task_id, self.index


@dataclass(frozen=True)
class Verdict:
    """What came of one sample.

    Attributes:
        task_id: the task.
        index: number of the completion within its task.
        passed: every test held.
        failure: the class of the first failure.
        detail: one short line about it, without any expected value.
        seconds: real time from fork to the end.
        cpu_seconds: CPU time of the process.
        tests_passed: tests that held; the ones after a fatal end count as not held.
        tests_total: tests judged.
        retried: it ran out of time, and this is what came of running it again alone.
    """

    task_id: int
    index: int
    passed: bool
    failure: Failure
    detail: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    tests_passed: int = 0
    tests_total: int = 0
    retried: bool = False

    def row(self) -> dict[str, Any]:
        """Plain values, for ``Run.sample``."""
        return asdict(self)


@dataclass
class Report:
    """Counts and facts of a pool's life, for the record.

    Attributes:
        granted: measures of isolation that the kernel gave.
        refused: measure → why the kernel refused it.
        judged: verdicts given.
        timeouts: samples that ran out of time at first.
        retried: of those, the ones run again alone.
        recovered: of those, the ones that then did not time out.
        restarts: servers replaced after a fault.
    """

    granted: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    judged: int = 0
    timeouts: int = 0
    retried: int = 0
    recovered: int = 0
    restarts: int = 0

    def notes(self) -> list[str]:
        """Sentences for ``Run.note``: the refused measures, once."""
        return [f"Sandbox: {name} refused by this kernel ({why})" for name, why in sorted(self.refused.items())]
