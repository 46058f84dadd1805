"""Resident memory of a process and all its descendants, cheap enough to ask for twenty times a second.

What is asked often is kept open: one small file of the kernel a process, read in place. Who belongs to the tree is
found out anew only when that can have changed: when the newest process number that the kernel handed out is another
than before (``/proc/loadavg``), when a member ended, and every :data:`RESCAN` seconds all the same, for systems that
make that number up. So a new process is seen at the first look after it was started. A process whose parent ended is
no descendant any more, but counts until the next such search.

Where the kernel has no lists of children, psutil finds the tree at every look, which costs many times as much. Not
covered: swap, memory shared between the processes (counted once for each), processes of other machines, and the ones
for which no file could be opened: a tree takes as many open files as it has processes.
"""

import contextlib
import os
import time
from pathlib import Path
from types import TracebackType

import psutil

RESCAN = 0.5
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KERNEL_LISTS_CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children").exists()


class ProcessTree:
    """A process and its descendants; not to be shared by threads without a lock.

    Args:
        root: number of the process at the top, this one if left out.
    """

    def __init__(self, root: int | None = None) -> None:
        self._root = os.getpid() if root is None else root
        self._files: dict[int, int] = {}
        self._load: int | None = None
        self._newest: bytes | None = None
        self._searched = 0.0

    def __enter__(self) -> "ProcessTree":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the open files back; a later look opens them again."""
        while self._files:
            os.close(self._files.popitem()[1])
        if self._load is not None:
            os.close(self._load)
        self._load = self._newest = None

    def resident(self) -> int:
        """Resident bytes now; processes that end meanwhile count as nothing."""
        if not _KERNEL_LISTS_CHILDREN:
            return _resident_by_psutil(self._root)
        newest, now = self._newest_process(), time.monotonic()
        if newest is None or newest != self._newest or now - self._searched >= RESCAN:
            self._search()
            self._newest, self._searched = newest, now
        pages, ended = 0, []
        for pid, file in self._files.items():
            try:
                pages += int(os.pread(file, 128, 0).split()[1])
            except (OSError, IndexError):
                ended.append(pid)
        for pid in ended:
            os.close(self._files.pop(pid))
            self._newest = None  # its number may be another process's by now
        return pages * _PAGE

    def _search(self) -> None:
        found, waiting = {self._root}, [self._root]
        while waiting:
            children = _children(waiting.pop())
            found.update(children)
            waiting += children
        for pid in self._files.keys() - found:
            os.close(self._files.pop(pid))
        for pid in found - self._files.keys():
            with contextlib.suppress(OSError):
                self._files[pid] = os.open(f"/proc/{pid}/statm", os.O_RDONLY)

    def _newest_process(self) -> bytes | None:
        try:
            if self._load is None:
                self._load = os.open("/proc/loadavg", os.O_RDONLY)
            return os.pread(self._load, 128, 0).rsplit(maxsplit=1)[1]
        except (OSError, IndexError):
            return None


def read(path: str) -> bytes:
    """A small file of the kernel in one piece; ``Path`` and text files cost several times as much."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 1 << 16)
    finally:
        os.close(file)


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):  # the process ended
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - see read; the kernel lists children by thread
            with contextlib.suppress(OSError):
                children += map(int, read(f"/proc/{pid}/task/{thread}/children").split())
    return children


def _resident_by_psutil(root: int) -> int:
    total = 0
    with contextlib.suppress(psutil.Error):
        top = psutil.Process(root)
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total
