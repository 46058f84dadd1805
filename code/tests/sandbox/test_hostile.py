"""Hostile programs: none passes, none leaves anything behind, and the next sample is judged as if nothing had been."""

import os
import socket
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from bench.hostile_forgers import FORGERS, WRITERS
from bench.hostile_processes import PROCESSES
from bench.hostile_values import READERS, VALUES
from codelab.sandbox import Limits, Pool, Sample, Verdict
from codelab.tasks.mbpp import Task

PROGRAMS = {**VALUES, **READERS, **WRITERS, **FORGERS, **PROCESSES}
GOOD = "def f(x):\n    return x * x\n"
LIMITS = Limits(cpu_seconds=0.4, wall_seconds=4.0, memory_bytes=512 << 20)
CLASSES = {
    "always_equal": "wrong_value",
    "always_equal_int": "wrong_value",
    "always_equal_any": "wrong_value",
    "endless_loop_in_call": "timeout",
    "swallowed_timeout": "timeout",
    "ignored_signals": "timeout",
    "sleep": "timeout",
    "os_exit_at_import": "killed",
    "os_exit_in_call": "killed",
    "segfault": "killed",
    "forged_verdict": "killed",
    "flooded_pipe": "killed",
    "exit_at_import": "exception",
    "memory_flood": "exception",
    "read_expected_values": "wrong_value",
    "no_function": "missing_name",
    "prose": "syntax",
    "null_byte": "syntax",
    "empty": "missing_name",
}


@dataclass
class World:
    """What a program could reach outside, and a pool that outlives all of them."""

    pool: Pool
    outside: Path
    secret: Path
    port: int
    abstract: str
    index: int = 0
    asked: list[str] = field(default_factory=list)

    def run(self, task: Task, program: str) -> Verdict:
        """Judge a program and, after it, a right one."""
        for mark, value in (
            ("@OUTSIDE@", str(self.outside)),
            ("@SECRET@", str(self.secret)),
            ("@PORT@", str(self.port)),
            ("@ABSTRACT@", self.abstract),
        ):
            program = program.replace(mark, value)
        self.index += 2
        samples = [Sample(task, self.index, program), Sample(task, self.index + 1, GOOD)]
        verdicts = {verdict.index: verdict for verdict in self.pool.judge(samples)}
        assert verdicts[self.index + 1].passed, verdicts[self.index + 1]
        return verdicts[self.index]


def serve(listener: socket.socket, asked: list[str]) -> None:
    """Give the expected values to whoever connects, and remember that somebody did."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        asked.append(str(listener.getsockname()))
        with connection:
            connection.sendall(b"[4, 9, 16]")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    outside = tmp_path_factory.mktemp("outside")
    outside.chmod(0o777)
    secret = outside / "expected-values.txt"
    secret.write_text("assert f(2) == 4\nassert f(3) == 9\nassert f(4) == 16\n")
    secret.chmod(0o644)
    for folder in outside.parents:
        if folder.owner() == outside.owner() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    abstract = f"codelab-test-{os.getpid()}"
    asked: list[str] = []
    listeners = [socket.socket(socket.AF_INET), socket.socket(socket.AF_UNIX)]
    listeners[0].bind(("127.0.0.1", 0))
    listeners[1].bind("\0" + abstract)
    threads = []
    for listener in listeners:
        listener.listen()
        threads.append(threading.Thread(target=serve, args=(listener, asked), daemon=True))
        threads[-1].start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CODELAB_TEST_EXPECTED", "4,9,16")
        with Pool(1, LIMITS, retry="none") as pool:
            for name, why in pool.report.refused.items():
                warnings.warn(f"this kernel refuses the {name} ({why})", stacklevel=1)
            yield World(pool, outside, secret, listeners[0].getsockname()[1], abstract, asked=asked)
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


def left_behind(world: World) -> list[str]:
    """Traces outside: processes, files, sockets."""
    traces = [f"process {child}" for child in psutil.Process(world.pool.pids[0]).children(recursive=True)]
    traces += [str(path) for path in world.outside.iterdir() if path != world.secret]
    library = Path(os.__file__).parent
    places = [library / "left_behind.py", Path("/dev/shm/codelab-left-behind"), Path("/root/.left")]
    traces += [str(path) for path in places if os.access(path.parent, os.X_OK) and path.exists()]
    for table, marks in (("unix", ["codelab-left-behind"]), ("tcp", [f":{48651:04X} "])):
        text = Path(f"/proc/net/{table}").read_text()
        traces += [mark for mark in marks if mark in text]
    traces += ["shared memory"] if "0x000051ab" in Path("/proc/sysvipc/shm").read_text() else []
    traces += ["the secret is gone"] if not world.secret.exists() else []
    return traces


@pytest.mark.parametrize("name", PROGRAMS)
def test_none_passes_or_leaves_anything(world: World, square: Task, name: str) -> None:
    server = world.pool.pids
    verdict = world.run(square, PROGRAMS[name])
    assert not verdict.passed
    assert verdict.failure not in {"none", "sandbox_error"}
    assert verdict.failure == CLASSES.get(name, verdict.failure)
    assert verdict.failure != "wrong_value" or not {"4", "9", "16"} & set(verdict.detail.split())
    assert world.pool.pids == server, "the server was lost"
    assert not world.asked
    assert left_behind(world) == []


def test_there_are_enough_of_them() -> None:
    assert len(PROGRAMS) == sum(map(len, (VALUES, READERS, WRITERS, FORGERS, PROCESSES))) >= 60


def test_one_sample_leaves_nothing_to_the_next(world: World, square: Task) -> None:
    write = "open('/tmp/answers', 'w').write('[4, 9, 16]')\n" + GOOD
    read = "def f(x):\n    return eval(open('/tmp/answers').read())[x - 2]"
    samples = [Sample(square, -1, write), Sample(square, -2, read)]
    verdicts = {verdict.index: verdict for verdict in world.pool.judge(samples)}
    assert verdicts[-1].passed
    assert verdicts[-2].failure == "exception"
