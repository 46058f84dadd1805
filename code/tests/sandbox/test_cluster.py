"""The pool on a local Ray: a worker that is killed in the middle costs nothing and counts nothing twice."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from codelab.errors import UserError
from codelab.sandbox import Limits, Report, Sample
from codelab.sandbox.cluster import _chunks, judge_on_ray
from codelab.tasks.mbpp import Task

pytest.importorskip("ray")
SLOWLY = "import time\ntime.sleep(0.05)\ndef f(x):\n    return x * x\n"
LIMITS = Limits(cpu_seconds=5, wall_seconds=60)


@pytest.fixture
def strays() -> Iterator[None]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    deadline = time.monotonic() + 20
    while left := [child for child in psutil.Process().children(recursive=True) if child.pid not in before]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def kill_one_worker(stop: threading.Event, killed: list[int]) -> None:
    """Kill the first Ray worker that has a fork server below it."""
    while not stop.wait(0.05):
        for process in psutil.Process().children(recursive=True):
            try:
                if "ray::judge_chunk" in " ".join(process.cmdline()) and process.children():
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)
                    return
            except (psutil.NoSuchProcess, ProcessLookupError):
                continue


@pytest.mark.slow
@pytest.mark.usefixtures("strays")
def test_a_killed_worker_loses_nothing_and_counts_nothing_twice(square: Task) -> None:
    samples = [Sample(square, index, SLOWLY if index % 4 else "def f(x): return 0") for index in range(160)]
    report, stop, killed = Report(), threading.Event(), []  # type: ignore[var-annotated]
    killer = threading.Thread(target=kill_one_worker, args=(stop, killed))
    killer.start()
    try:
        verdicts = list(judge_on_ray(samples, workers=2, limits=LIMITS, report=report, chunk=20))
    finally:
        stop.set()
        killer.join()
    assert killed, "no worker was killed, so nothing was tested"
    assert report.restarts >= 1
    assert sorted(verdict.index for verdict in verdicts) == list(range(160))
    assert {verdict.index for verdict in verdicts if verdict.passed} == {i for i in range(160) if i % 4}
    assert report.judged == 160


def test_the_same_key_twice_is_an_error(square: Task) -> None:
    with pytest.raises(UserError, match="index 3"):
        list(_chunks([Sample(square, 3, SLOWLY), Sample(square, 3, SLOWLY)], LIMITS, 8))


def test_a_chunk_carries_the_limits_of_its_tasks(square: Task) -> None:
    (chunk,) = _chunks([Sample(square, 0, SLOWLY)], {1: LIMITS, 2: Limits()}, 8)
    assert chunk.limits == {1: LIMITS}
