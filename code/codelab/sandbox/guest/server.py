"""The fork server: one child at a time, its clock, and its end.

It starts as a fresh interpreter, takes the server-wide measures, and then forks a child for each request. A request
carries two descriptors, the job and the pipe for answers, which only the child reads and writes: no program, call or
answer is ever in the server's memory, so no child inherits one of another. Not covered: judging (the parent's).
"""

import array
import gc
import json
import os
import select
import signal
import socket
import struct
import time
from typing import Final, NoReturn

from . import child
from .confine import Cage

REQUEST: Final = struct.Struct("=ddqqqqq")  # CPU s, wall s, memory, threads, disk, open files, unused
REPLY: Final = struct.Struct("=iiddq")  # status, ended by, CPU s, wall s, unused
ENDED, CPU, WALL = 0, 1, 2

_PRELOAD = "math re collections itertools functools heapq bisect string datetime typing operator copy cmath array"


def main(control_fd: int, skip: str) -> NoReturn:
    """Serve until the parent closes the control socket."""
    control = socket.socket(fileno=control_fd)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, control_fd)
    for name in _PRELOAD.split():
        __import__(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cage = Cage()
    cage.prepare(frozenset(filter(None, skip.split(","))))
    os.environ.clear()
    control.send(json.dumps({"granted": cage.granted, "refused": cage.refused}).encode())
    gc.collect()
    gc.freeze()
    gc.disable()
    server = Server(control, cage)
    while server.serve():
        pass
    os._exit(0)


class Server:
    """Answers requests on one control socket."""

    def __init__(self, control: socket.socket, cage: Cage) -> None:
        self.control = control
        self.cage = cage

    def serve(self) -> bool:
        """Handle one request; False when the parent has gone."""
        descriptors = array.array("i")
        try:
            message, ancillary, _, _ = self.control.recvmsg(REQUEST.size, socket.CMSG_SPACE(8))
        except ConnectionError:
            return False
        if not message:
            return False
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) // 4 * 4])
        job, out = descriptors
        cpu, wall, memory, threads, disk, files, _ = REQUEST.unpack(message)
        folder = self.cage.open_home(disk)
        began = time.monotonic()
        if self.cage.has("pid namespace"):
            self.cage.enter_pid_namespace()
        pid = os.fork()
        if pid == 0:
            gc.enable()
            self.control.detach()
            os.setsid()
            child.main(self.cage, folder, (int(cpu) + 2, memory, threads, disk, files), job, out)
        os.close(job)
        os.close(out)
        watched = os.pidfd_open(pid)
        try:
            reason, gone, spent = self._watch(pid, watched, cpu, wall, began)
        finally:
            os.close(watched)
        self._sweep(pid)
        _, status, usage = os.wait4(pid, 0)
        self._reap()
        if folder:
            self.cage.remove_folder(folder)
        if gone:
            return False
        spent = max(spent, usage.ru_utime + usage.ru_stime)
        code = os.waitstatus_to_exitcode(status)
        try:
            self.control.send(REPLY.pack(code, reason, spent, time.monotonic() - began, 0))
        except OSError:
            return False
        return True

    def _watch(self, pid: int, watched: int, cpu: float, wall: float, began: float) -> tuple[int, bool, float]:
        """Wait for the child's end or its limits: why it ended, whether the parent has gone, CPU time seen."""
        poll = select.poll()
        poll.register(watched, select.POLLIN)
        poll.register(self.control, select.POLLHUP | select.POLLRDHUP)
        clock = (~pid << 3) | 2  # the CPU clock of that process, all threads
        wait = min(cpu, wall)
        spent = 0.0
        while True:
            events = dict(poll.poll(max(1, int(wait * 1000) + 1)))
            if watched in events:
                return ENDED, False, spent
            if events:
                return ENDED, True, spent
            try:
                spent = time.clock_gettime(clock)
            except OSError:
                return ENDED, False, spent
            left = began + wall - time.monotonic()
            if spent >= cpu:
                return CPU, False, spent
            if left <= 0:
                return WALL, False, spent
            wait = min(cpu - spent, left)

    def _sweep(self, pid: int) -> None:
        """End the child; in a PID namespace everything that it started ends with it, else its group does."""
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                return

    def _reap(self) -> None:
        """End and collect orphans that came to this process as subreaper."""
        if self.cage.has("pid namespace"):
            return
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0 and not self._kill_orphans():
                return

    @staticmethod
    def _kill_orphans() -> bool:
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as handle:  # noqa: PTH123
                orphans = [int(pid) for pid in handle.read().split()]
        except OSError:
            return False
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return bool(orphans)
