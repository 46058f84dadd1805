"""Seconds and memory of named phases.

What each number is:

- seconds: wall time; a CUDA device is waited for at both ends, so that queued work counts where it was asked for.
- ``cpu_peak``: peak resident set of this process and all its descendants, bytes. The process's own peak is exact (the
  kernel keeps it; the mark is set back when a phase starts); the sum over the tree is sampled, and children that lived
  between two samples count through the kernel's peak of finished children, where it grew. Pages of files mapped
  into memory count while they are resident.
- ``gpu_allocated``: peak of torch's CUDA allocator, exact. ``gpu_device``: peak memory in use on the whole device,
  sampled through the driver, with whatever else runs there.

The sampler spends at most one half per cent of a core: it waits 200 times as long as its last look took. Phases may
not be nested. Not covered: swap, memory of the page cache, other machines.
"""

import contextlib
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from codelab.measure import device
from codelab.records import Phase, Run

_SHARE = 0.005
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KERNEL_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()


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
            result.cpu_peak = max(
                sampler.tree_peak, _own_peak(), finished if finished > finished_before else 0, _resident(os.getpid())
            )
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
        self._process = psutil.Process()
        self._over = threading.Event()

    def run(self) -> None:
        while True:
            began = time.thread_time()
            self._look()
            cost = time.thread_time() - began
            self.spent += cost
            if self._over.wait(max(self._interval, cost / _SHARE)):
                return

    def stop(self) -> None:
        self._over.set()
        self.join()
        self._look()

    def _look(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(Exception):
                self.device_peak = max(self.device_peak or 0, device.used_bytes(self._handle))
        self.tree_peak = max(self.tree_peak, tree_resident(self._process))


def tree_resident(process: psutil.Process) -> int:
    """Resident bytes of a process and its descendants now; ones that end meanwhile count as nothing."""
    if not _KERNEL_LISTS_CHILDREN:
        children: list[int] = []
        with contextlib.suppress(psutil.Error):
            children = [child.pid for child in process.children(recursive=True)]
        return _resident(process.pid) + sum(_resident(pid) for pid in children)
    total, waiting = 0, [process.pid]
    while waiting:
        pid = waiting.pop()
        total += _resident(pid)
        # The kernel lists children by the thread that started them; psutil would read every process of the machine.
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - Path costs several times as much here
                with contextlib.suppress(OSError):
                    waiting += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return total


def _resident(pid: int) -> int:
    try:
        return int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, 1 << 16)
    finally:
        os.close(handle)


def _cuda() -> Any | None:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "cuda") or not torch.cuda.is_initialized():
        return None
    return torch.cuda


def _reset_own_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _own_peak() -> int:
    """Kernel's peak of this process since :func:`_reset_own_peak`; 0 where the mark could not be set back."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        if not os.access("/proc/self/clear_refs", os.W_OK):
            return 0
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _finished_children_peak() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
