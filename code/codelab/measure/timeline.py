"""Memory over time, with the phase that each moment belongs to.

A thread looks at the process tree and the device every few hundredths of a second. Peaks between two looks are
missed: :class:`~codelab.measure.meter.Meter` has those. Not covered: allocators of other processes, an inference
engine's for example, which only the device's count shows.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from codelab.measure import device
from codelab.measure.tree import ProcessTree

_SHARE = 0.01  # of a core, at most


class Timeline(threading.Thread):
    """Rows of ``t`` (seconds since it was made), ``phase``, ``cpu``, ``gpu_device`` and ``gpu_allocated`` (bytes).

    Args:
        interval: seconds between two looks, at least.

    Attributes:
        rows: the looks so far; memory that there is none of is None.
    """

    def __init__(self, interval: float = 0.1) -> None:
        super().__init__(name="codelab-timeline", daemon=True)
        self.rows: list[dict[str, Any]] = []
        self._interval = interval
        self._phase = "start"
        self._began = time.perf_counter()
        self._tree = ProcessTree()
        self._handle = device.open_handle()
        self._over = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> "Timeline":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        self._look()
        self._tree.close()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Mark the body of a ``with``; both its ends are looked at, however short it is."""
        before, self._phase = self._phase, name
        self._look()
        try:
            yield
        finally:
            self._look()
            self._phase = before

    def run(self) -> None:
        """Look until stopped."""
        while True:
            began = time.thread_time()
            self._look()
            if self._over.wait(max(self._interval, (time.thread_time() - began) / _SHARE)):
                return

    def _look(self) -> None:
        used = None
        if self._handle is not None:
            with contextlib.suppress(Exception):
                used = device.used_bytes(self._handle)
        with self._lock:
            row = {"phase": self._phase, "cpu": self._tree.resident(), "gpu_device": used, "gpu_allocated": _own()}
            self.rows.append({"t": round(time.perf_counter() - self._began, 3), **row})


def thin(rows: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most about ``most`` rows that still show every phase's ends and the highest moment of each stretch of time.

    Args:
        rows: of one timeline, in order of time.
        most: rows to keep, apart from the ends of phases.
    """
    if len(rows) <= most:
        return list(rows)
    ends = {0, len(rows) - 1}
    for i in range(1, len(rows)):
        if rows[i]["phase"] != rows[i - 1]["phase"]:
            ends |= {i - 1, i}
    width = -(-len(rows) // most)
    for start in range(0, len(rows), width):
        stretch = range(start, min(start + width, len(rows)))
        ends.add(max(stretch, key=lambda i: (rows[i]["gpu_device"] or 0, rows[i]["cpu"])))
    return [rows[i] for i in sorted(ends)]


def _own() -> int | None:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return None
    with contextlib.suppress(Exception):
        return int(torch.cuda.memory_allocated())
    return None
