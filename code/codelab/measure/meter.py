"""Seconds and memory of named phases.

What each number is:

- seconds: wall time; a CUDA device is waited for at both ends, so that queued work counts where it was asked for.
- ``cpu_peak``: peak resident set of this process and all its descendants, bytes. The process's own peak is exact (the
  kernel keeps it; the mark is set back when a phase starts); the sum over the tree is sampled, and children that lived
  between two samples count through the kernel's peak of finished children, where it grew. Pages of files mapped
  into memory count while they are resident.
- ``gpu_allocated``: peak of torch's CUDA allocator, exact. ``gpu_device``: peak memory in use on the whole device,
  sampled through the driver, with whatever else runs there.

When the sampler looks: when a phase starts and ends, and in between ``interval`` seconds after the last look was over,
or 200 times as long as that look kept the processor, whichever is more, so that it spends at most one half per cent of
a core. It needs the interpreter's lock for each step, so code that keeps the lock delays it. What the tree held only
between two looks is missed, apart from the exact peaks named above. Phases may not be nested. Not covered: swap, memory
of the page cache, other machines.
"""

import contextlib
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from codelab.measure import device
from codelab.measure.tree import ProcessTree, read
from codelab.records import Phase, Run

_SHARE = 0.005


class Meter:
    """Measures phases one after another.

    Args:
        run: a run that is given every phase, if any.
        variant: name of what is measured, written into each phase.
        interval: seconds between two looks, at least.

    Attributes:
        phases: the phases so far.
        spent: processor seconds that metering itself took, in the sampler and at both ends of each phase.
    """

    def __init__(self, run: Run | None = None, variant: str | None = None, interval: float = 0.05) -> None:
        self.phases: list[Phase] = []
        self.spent = 0.0
        self._run = run
        self._variant = variant
        self._interval = interval
        self._handle = device.open_handle()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[Phase]:
        """Measure the body of a ``with``; the yielded phase is filled when the body ends, also by an exception."""
        entered = time.thread_time()
        result = Phase(name=name, seconds=0, variant=self._variant)
        cuda = _cuda()
        if cuda is not None:
            cuda.synchronize()
            cuda.reset_peak_memory_stats()
        _reset_own_peak()
        finished_before = _finished_children_peak()
        sampler = _Sampler(self._interval, self._handle)
        sampler.start()
        self.spent += time.thread_time() - entered
        began = time.perf_counter()
        try:
            yield result
        finally:
            cuda = _cuda()
            if cuda is not None:
                with contextlib.suppress(Exception):  # a failed kernel is reported by the body, not by the meter
                    cuda.synchronize()
                    result.gpu_allocated = int(cuda.max_memory_allocated())
            result.seconds = time.perf_counter() - began
            left = time.thread_time()
            sampler.stop()
            finished = _finished_children_peak()
            result.cpu_peak = max(sampler.tree_peak, _own_peak(), finished if finished > finished_before else 0)
            result.gpu_device = sampler.device_peak
            self.spent += time.thread_time() - left + sampler.spent
            self.phases.append(result)
            if self._run is not None:
                self._run.phase(result)


class _Sampler(threading.Thread):
    """Looks at the process tree and the device until stopped."""

    def __init__(self, interval: float, handle: Any | None) -> None:
        super().__init__(name="codelab-meter", daemon=True)
        self.tree_peak = 0
        self.device_peak: int | None = None
        self.spent = 0.0
        self._interval = interval
        self._handle = handle
        self._tree = ProcessTree()
        self._looking = threading.Lock()
        self._running = threading.Lock()  # to wait for a lock costs less than to wait for an event
        self._running.acquire()

    def start(self) -> None:
        super().start()
        self._look()  # here, where the processor is awake already; after the start, which makes a thread to be searched

    def run(self) -> None:
        wait, before = self._interval, time.thread_time()
        while not self._running.acquire(timeout=wait):
            self._look()
            after = time.thread_time()  # that of this thread only, waking up included
            wait, before = max(self._interval, (after - before) / _SHARE), after
        self.spent = time.thread_time()

    def stop(self) -> None:
        self._running.release()
        self.join()
        self._look()
        self._tree.close()

    def _look(self) -> None:
        with self._looking:
            if self._handle is not None:
                with contextlib.suppress(Exception):
                    self.device_peak = max(self.device_peak or 0, device.used_bytes(self._handle))
            self.tree_peak = max(self.tree_peak, self._tree.resident())


def _cuda() -> Any | None:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return None
    return torch.cuda


def _reset_own_peak() -> None:
    with contextlib.suppress(OSError):
        file = os.open("/proc/self/clear_refs", os.O_WRONLY)
        try:
            os.write(file, b"5")
        finally:
            os.close(file)


def _own_peak() -> int:
    """Kernel's peak of this process since :func:`_reset_own_peak`; 0 where the mark could not be set back."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        return 0
    with contextlib.suppress(OSError, IndexError):
        return int(read("/proc/self/status").split(b"VmHWM:")[1].split(maxsplit=1)[0]) * 1024
    return 0


def _finished_children_peak() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
