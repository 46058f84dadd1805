"""What a program answers to calls, with the walls and limits of a judged sample; for tests made by running a reference.

The answers come from an untrusted program and are plain values or the reason why there is none. Not covered: proposing
calls (``codelab.tasks.tested``) and judging programs (``codelab.sandbox.pool``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from codelab.sandbox.clients import Job, Reply
from codelab.sandbox.decode import Answer, frames
from codelab.sandbox.plan import Plan, Step
from codelab.sandbox.pool import Pool
from codelab.sandbox.types import Failure, Sample, Verdict
from codelab.tasks.mbpp import Task


@dataclass(frozen=True)
class Probe:
    """A program and the calls that are put to one process of it, in order.

    Attributes:
        key: what names the probe within a batch.
        program: Python source.
        calls: expressions, such as ``f([1, 2])``.
    """

    key: int
    program: str
    calls: tuple[str, ...]


@dataclass(frozen=True)
class Observation:
    """What came of one probe.

    Attributes:
        key: the probe's.
        answers: to the calls before the program ended, in order; fewer than the calls where it ended early.
        failure: why it ended early or did not begin; ``none`` where every call was answered, even by an exception.
        cpu_seconds: CPU time of the process.
    """

    key: int
    answers: tuple[Answer, ...]
    failure: Failure
    cpu_seconds: float


@dataclass(frozen=True)
class _Asked(Sample):
    calls: tuple[str, ...] = ()


class Observer(Pool):
    """Fork servers that hand back answers; arguments, walls and limits as for :class:`~codelab.sandbox.Pool`."""

    _heard: dict[int, tuple[Answer, ...]]

    def observe(self, probes: Iterable[Probe]) -> Iterator[Observation]:
        """One observation a probe, in the order in which they are reached.

        Raises:
            UserError: two probes have the same key, or no server can be started any more.
        """
        self._heard = {}
        asked = (_Asked(Task(probe.key, "", ""), 0, probe.program, calls=probe.calls) for probe in probes)
        for outcome in self.judge(asked):
            answers = self._heard.pop(outcome.task_id, ())
            yield Observation(outcome.task_id, answers, outcome.failure, outcome.cpu_seconds)

    def _plan(self, sample: Sample) -> Plan:
        calls = sample.calls if isinstance(sample, _Asked) else ()
        return Plan(tuple(Step("e", call) for call in calls), judges=())

    def _outcome(self, job: Job, reply: Reply) -> Verdict:
        self._heard[job.sample.task.task_id] = frames(bytes(job.output), len(self._plan(job.sample).steps)).answers
        return super()._outcome(job, reply)
