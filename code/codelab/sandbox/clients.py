"""One fork server as the parent sees it: starting it, sending a job, taking its reply, ending it.

Not covered: which job goes where, and verdicts (``codelab.sandbox.pool``).
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from codelab.sandbox.guest.server import REPLY, REQUEST
from codelab.sandbox.types import Limits, Sample

# At the end of the path: this folder has modules named like the standard library's.
_BOOT = """
import sys
sys.path.append(sys.argv[1])
from guest.server import main
sys.path.pop()
main(int(sys.argv[2]), sys.argv[3])
"""
_START_SECONDS = 60
_GRACE_SECONDS = 60


class ServerLostError(Exception):
    """The server ended or could not start; says nothing about any program."""


@dataclass
class Job:
    """One sample on its way.

    Attributes:
        sample: what runs.
        request: the job as the child reads it.
        limits: what it may use.
        output: what it has answered so far.
        pipe: where the answers come from; -1 once closed.
        attempts: how often a server was lost while it ran.
        retried: it is running again alone after a timeout.
    """

    sample: Sample
    request: bytes
    limits: Limits
    output: bytearray = field(default_factory=bytearray)
    pipe: int = -1
    attempts: int = 0
    retried: bool = False
    flooded: bool = False

    def close(self) -> None:
        """Close the pipe."""
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1

    def drain(self) -> None:
        """Read what there is."""
        while self.pipe >= 0:
            try:
                block = os.read(self.pipe, 1 << 16)
            except BlockingIOError:
                return
            if not block:
                self.close()
                return
            # What is over the limit is thrown away, so that a flood costs no memory and blocks no server.
            self.flooded = self.flooded or len(self.output) + len(block) > self.limits.output_bytes
            if not self.flooded:
                self.output += block


@dataclass(frozen=True)
class Reply:
    """What the server says of a child's end: exit code or minus the signal, what ended it, CPU and real seconds."""

    code: int
    reason: int
    cpu_seconds: float
    seconds: float


class Client:
    """A running fork server.

    Args:
        skip: measures to leave out, for tests of what a kernel may refuse.
        hash_seed: of its interpreter, and so of every program.

    Raises:
        ServerLostError: it did not start.
    """

    def __init__(self, skip: str = "", hash_seed: int = 0) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # -S and an empty environment: nothing of the site or the user is imported; the hash seed makes runs repeatable.
        python = getattr(sys, "_base_executable", None) or sys.executable
        command = [python, "-S", "-s", "-P", "-B", "-W", "ignore", "-X", "utf8", "-c", _BOOT]
        try:
            self._process = subprocess.Popen(
                [*command, str(Path(__file__).parent), str(theirs.fileno()), skip],
                env={"PYTHONHASHSEED": str(hash_seed)},
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            raise ServerLostError(f"cannot start {python}: {error.strerror}") from error
        finally:
            theirs.close()
        self.control = ours
        self._last_words = ""
        self._since = time.monotonic()
        self.jobs: list[Job] = []
        self.granted, self.refused = self._hello()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def _hello(self) -> tuple[tuple[str, ...], dict[str, str]]:
        self.control.settimeout(_START_SECONDS)
        try:
            said = json.loads(self.control.recv(1 << 16) or b"null")
        except (OSError, ValueError):
            said = None
        if not isinstance(said, dict):
            self.close()
            raise ServerLostError(f"the fork server did not start: {self._last_words}")
        if self._process.stderr:
            self._process.stderr.close()
        self.control.setblocking(False)
        return tuple(said["granted"]), dict(said["refused"])

    def send(self, job: Job) -> None:
        """Hand over a job; it starts when the one before it has ended.

        Raises:
            ServerLostError: the server has gone.
        """
        work = os.memfd_create("job", os.MFD_CLOEXEC)
        job.pipe, answers = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            os.set_blocking(answers, True)
            with os.fdopen(os.dup(work), "wb") as handle:
                handle.write(job.request)
            os.lseek(work, 0, os.SEEK_SET)
            limits = job.limits
            head = REQUEST.pack(
                limits.cpu_seconds,
                limits.wall_seconds,
                limits.memory_bytes,
                limits.threads,
                limits.disk_bytes,
                limits.open_files,
                0,
            )
            socket.send_fds(self.control, [head], [work, answers])
        except OSError as error:
            job.close()
            raise ServerLostError(str(error)) from error
        finally:
            os.close(work)
            os.close(answers)
        if not self.jobs:
            self._since = time.monotonic()
        job.output.clear()
        job.flooded = False
        self.jobs.append(job)

    def reply(self) -> Reply | None:
        """What the server says of the oldest job's end; None if it has not said it yet.

        Raises:
            ServerLostError: the server has gone.
        """
        try:
            message = self.control.recv(REPLY.size)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ServerLostError(str(error)) from error
        if len(message) != REPLY.size:
            raise ServerLostError("the fork server ended")
        self._since = time.monotonic()
        code, reason, cpu_seconds, seconds, _ = REPLY.unpack(message)
        return Reply(code, reason, cpu_seconds, seconds)

    def tend(self) -> None:
        """Read ahead, so that a full pipe holds nobody up, and end a server that hangs: its closed socket tells."""
        if self.jobs:
            self.jobs[0].drain()
            if time.monotonic() - self._since > self.jobs[0].limits.wall_seconds + _GRACE_SECONDS:
                self.kill()

    def kill(self) -> None:
        """Kill the server."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the server and what it runs; it ends its child when the socket closes, and is killed if it does not."""
        self.control.close()
        for job in self.jobs:
            job.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()
        if self._process.stderr and not self._process.stderr.closed:
            words = self._process.stderr.read().decode(errors="replace").strip().splitlines()
            self._last_words = words[-1] if words else f"exit {self._process.returncode}"
            self._process.stderr.close()
