"""Time limits from what the reference solutions need on this machine."""

from collections.abc import Iterable

from codelab.sandbox.types import Limits
from codelab.tasks.mbpp import Task


def calibrate(tasks: Iterable[Task], *, workers: int | None = None, base: Limits | None = None) -> dict[int, Limits]:
    """Limits by task id: 20 times the reference's CPU time, at least ``base.cpu_seconds``.

    Raises:
        UserError: a reference solution does not pass.
    """
    raise NotImplementedError
