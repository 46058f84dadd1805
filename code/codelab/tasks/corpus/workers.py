"""Worker processes that die with the process that started them.

A worker that outlived a killed build would go on writing under the temporary name that the continued build writes
under too. Not covered: a lock against two builds at once.
"""

import multiprocessing
import multiprocessing.connection
import multiprocessing.pool
import os
import threading
from collections.abc import Callable
from typing import Any


def pool(
    workers: int, start: Callable[..., None] | None = None, given: tuple[Any, ...] = ()
) -> multiprocessing.pool.Pool:
    """A pool of fresh processes.

    Args:
        workers: how many.
        start: called once in each of them.
        given: its arguments.
    """
    return multiprocessing.get_context("spawn").Pool(workers, initializer=_begin, initargs=(start, given))


def _begin(start: Callable[..., None] | None, given: tuple[Any, ...]) -> None:
    threading.Thread(target=_watch, daemon=True).start()
    if start is not None:
        start(*given)


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
