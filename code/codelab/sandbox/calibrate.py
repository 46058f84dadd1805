"""Time limits from what the reference solutions need on this machine.

CPU time is what is limited, so that a busy machine does not turn right answers into timeouts. Not covered: limits on
memory and files, which are the same everywhere.
"""

from collections.abc import Iterable
from dataclasses import replace

from codelab.errors import UserError
from codelab.sandbox.pool import Pool
from codelab.sandbox.types import Limits, Sample
from codelab.tasks.mbpp import Task

FACTOR = 5.0
_GENEROUS = Limits(cpu_seconds=60, wall_seconds=300)


def calibrate(
    tasks: Iterable[Task], *, workers: int | None = None, base: Limits | None = None, factor: float = FACTOR
) -> dict[int, Limits]:
    """Limits by task id.

    Args:
        tasks: tasks with reference solutions; all tests run, the challenge tests too.
        workers: servers; None for one a core.
        base: the least limits, and everything but the times.
        factor: how many times the reference's CPU time a program gets, if that is more than ``base`` gives.

    Raises:
        UserError: a reference solution does not pass its own tests here.
    """
    base = base or Limits()
    with Pool(workers, replace(_GENEROUS, memory_bytes=base.memory_bytes)) as pool:
        verdicts = list(pool.judge(Sample(task, 0, task.code, challenge=True) for task in tasks))
    if wrong := [verdict for verdict in verdicts if not verdict.passed]:
        first = wrong[0]
        raise UserError(
            f"{len(wrong)} reference solutions do not pass here, the first is task {first.task_id}: "
            f"{first.failure} {first.detail}"
        )
    return {verdict.task_id: _limits(verdict.cpu_seconds, base, factor) for verdict in verdicts}


def _limits(reference: float, base: Limits, factor: float) -> Limits:
    cpu = max(base.cpu_seconds, factor * reference)
    # Ten times: other processes may take the CPU, and a program that only waits is seldom worth more.
    return replace(base, cpu_seconds=cpu, wall_seconds=max(base.wall_seconds, 10 * factor * reference))
