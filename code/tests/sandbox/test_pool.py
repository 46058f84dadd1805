"""Verdicts, limits, retries, lost servers and the degraded modes, on a small task of our own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from codelab.errors import UserError
from codelab.sandbox import Limits, Pool, Report, Sample, calibrate, judge
from codelab.tasks.mbpp import Task

GOOD = "def f(x):\n    return x * x\n"
LOOP = "def f(x):\n    while x == 3: pass\n    return x * x\n"
SLEEP = "import time\ndef f(x):\n    time.sleep(60)\n"
SHORT = Limits(cpu_seconds=0.3, wall_seconds=1.5)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2, Limits(cpu_seconds=0.3, wall_seconds=30)) as started:
        yield started


@pytest.mark.parametrize(
    ("program", "failure", "held"),
    [
        (GOOD, "none", 3),
        ("def f(x): return 2 * x", "wrong_value", 1),
        ("def f(x) return x", "syntax", 0),
        ("def g(x): return x", "missing_name", 0),
        ("def f(x): return y", "missing_name", 0),
        ("def f(x): return 1 / (x - 3)", "wrong_value", 0),
        ("def f(x): return x * x if x < 3 else 1 / 0", "exception", 1),
        ("import not_there\ndef f(x): return x", "exception", 0),
        (LOOP, "timeout", 1),
        ("import os\ndef f(x): return x * x if x < 4 else os._exit(0)", "killed", 2),
        ("def f(x): return f", "wrong_value", 0),
    ],
)
def test_verdicts(pool: Pool, square: Task, program: str, failure: str, held: int) -> None:
    (verdict,) = pool.judge([Sample(square, 7, program)])
    assert (verdict.failure, verdict.tests_passed, verdict.tests_total) == (failure, held, 3)
    assert verdict.passed is (failure == "none")
    assert (verdict.task_id, verdict.index) == (1, 7)
    assert verdict.row()["failure"] == failure


def test_many_samples_give_one_verdict_each(pool: Pool, square: Task) -> None:
    samples = [Sample(square, index, GOOD if index % 3 else "def f(x): return 0") for index in range(60)]
    verdicts = {verdict.index: verdict.passed for verdict in pool.judge(samples)}
    assert verdicts == {index: bool(index % 3) for index in range(60)}


def test_the_same_key_twice_is_an_error(pool: Pool, square: Task) -> None:
    with pytest.raises(UserError, match="index 0"):
        list(pool.judge([Sample(square, 0, GOOD), Sample(square, 0, GOOD)]))
    assert next(pool.judge([Sample(square, 0, GOOD)])).passed


def test_a_caller_that_stops_early_leaves_the_pool_usable(pool: Pool, square: Task) -> None:
    verdicts = pool.judge(Sample(square, index, GOOD) for index in range(20))
    next(verdicts)
    verdicts.close()  # type: ignore[attr-defined]
    assert len(list(pool.judge([Sample(square, index, GOOD) for index in range(5)]))) == 5


def test_challenge_tests_count_only_when_asked_for(pool: Pool, square: Task) -> None:
    harder = replace(square, challenge_tests=("assert f(-1) == 2",))
    plain, asked = pool.judge([Sample(harder, 0, GOOD)]), pool.judge([Sample(harder, 0, GOOD, challenge=True)])
    assert next(plain).tests_total == 3
    verdict = next(asked)
    assert (verdict.tests_total, verdict.tests_passed, verdict.failure) == (4, 3, "wrong_value")


def test_setup_runs_in_the_child(pool: Pool) -> None:
    task = Task(2, "Left.", "class Node: ...", "root = Node(1)\nroot.left = Node(2)", ("assert left(root) == 2",))
    program = "class Node:\n    def __init__(self, value): self.value = value\ndef left(root): return root.left.value"
    assert next(pool.judge([Sample(task, 0, program)])).passed
    assert next(pool.judge([Sample(task, 0, GOOD)])).failure == "missing_name"


def test_modules_of_the_standard_library_can_be_imported(pool: Pool) -> None:
    modules = ["asyncio", "csv", "dataclasses", "decimal", "hashlib", "random", "sqlite3", "statistics", "unicodedata"]
    task = Task(3, "Import.", "def f(): ...", "", ("assert f() == 1",))
    program = f"import {', '.join(modules)}\n@dataclasses.dataclass\nclass A:\n    x: int = 1\ndef f(): return A().x"
    verdict = next(Pool.judge(pool, [Sample(task, 0, program)]))
    assert verdict.passed, verdict


def test_threads_work_within_the_limit(pool: Pool, square: Task) -> None:
    program = "from concurrent.futures import ThreadPoolExecutor as P\ndef f(x): return P(4).submit(pow, x, 2).result()"
    assert next(pool.judge([Sample(square, 0, program)])).passed


def test_a_program_that_only_waits_is_tried_again_alone_and_counted(square: Task) -> None:
    with Pool(2, SHORT) as short:
        verdicts = {
            verdict.index: verdict for verdict in short.judge([Sample(square, 0, SLEEP), Sample(square, 1, GOOD)])
        }
        report = short.report
    assert verdicts[0].failure == "timeout"
    assert verdicts[0].retried
    assert verdicts[1].passed
    assert (report.judged, report.timeouts, report.retried, report.recovered) == (2, 1, 1, 0)


def test_a_used_up_cpu_allowance_is_tried_again_only_on_request(square: Task) -> None:
    for retry, expected in (("wall", False), ("all", True)):
        with Pool(1, Limits(cpu_seconds=0.2, wall_seconds=60), retry=retry) as short:  # type: ignore[arg-type]
            verdict = next(short.judge([Sample(square, 0, LOOP)]))
        assert (verdict.failure, verdict.retried) == ("timeout", expected)
        assert "cpu limit" in verdict.detail


def test_a_lost_server_is_replaced_and_its_samples_run_again(square: Task) -> None:
    with Pool(1) as fragile:
        verdicts = fragile.judge(Sample(square, index, GOOD) for index in range(30))
        seen = [next(verdicts)]
        os.kill(fragile.pids[0], signal.SIGKILL)
        seen += list(verdicts)
        assert sorted(verdict.index for verdict in seen) == list(range(30))
        assert all(verdict.passed for verdict in seen)
        assert fragile.report.restarts == 1


def test_a_sample_that_loses_its_server_twice_is_an_error_of_the_sandbox(
    square: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pool(1, Limits(wall_seconds=30)) as fragile:
        lose = fragile._hand_over

        def hand_over_and_kill(client, job, again):  # type: ignore[no-untyped-def]
            lose(client, job, again)
            os.kill(client.pid, signal.SIGKILL)

        monkeypatch.setattr(fragile, "_hand_over", hand_over_and_kill)
        (verdict,) = fragile.judge([Sample(square, 0, SLEEP)])
    assert verdict.failure == "sandbox_error"
    assert not verdict.passed


def test_a_server_that_hangs_is_replaced(square: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("codelab.sandbox.clients._GRACE_SECONDS", 0)
    with Pool(1, Limits(wall_seconds=1)) as fragile:
        os.kill(fragile.pids[0], signal.SIGSTOP)
        (verdict,) = fragile.judge([Sample(square, 0, GOOD)])
        assert fragile.report.restarts >= 1
    assert verdict.passed or verdict.failure == "sandbox_error"


def test_closing_ends_everything_at_once(square: Task) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with Pool(2, Limits(cpu_seconds=60, wall_seconds=60), retry="none") as short:
        verdicts = short.judge([Sample(square, 0, SLEEP), Sample(square, 1, SLEEP), Sample(square, 2, GOOD)])
        del verdicts
    after = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert after == []


def test_a_killed_parent_takes_everything_with_it() -> None:
    code = """
from codelab.sandbox import Limits, Pool, Sample
from codelab.tasks.mbpp import Task
task = Task(1, "Sleep.", "def f(x): ...", "", ("assert f(2) == 4",))
with Pool(2, Limits(cpu_seconds=60, wall_seconds=600)) as pool:
    print(*pool.pids, flush=True)
    list(pool.judge(Sample(task, n, "import time\\ntime.sleep(600)") for n in range(8)))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        servers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        while not all(server.children() for server in servers):
            time.sleep(0.05)
        below = [child for server in servers for child in server.children(recursive=True)]
        parent.kill()
    gone, alive = psutil.wait_procs([*servers, *below], timeout=60)
    assert len(gone) >= 4
    assert alive == []


ALL = (
    "privilege,user namespace,network namespace,ipc namespace,pid namespace,mount namespace,landlock,system-call filter"
)
DEGRADED = ["privilege", "mount namespace", "pid namespace,mount namespace", "landlock", "system-call filter", ALL]


@pytest.mark.parametrize("skip", DEGRADED)
def test_every_refused_measure_is_named_and_the_rest_works(square: Task, skip: str) -> None:
    write = "open('file', 'w').write('x')\nimport os\nos.mkdir('locked', 0)\n" + GOOD
    daemon = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(987)\n" + GOOD
    with Pool(1, Limits(wall_seconds=30), skip=skip) as weak:
        samples = [Sample(square, index, program) for index, program in enumerate((write, daemon, GOOD))]
        verdicts = {verdict.index: verdict for verdict in weak.judge(samples)}
        refused, notes = weak.report.refused, weak.report.notes()
        folders = list(Path("/tmp").glob(f"codelab-sandbox-{weak.pids[0]}-*"))
        left = [child.cmdline() for child in psutil.Process(weak.pids[0]).children(recursive=True)]
    assert verdicts[0].passed, verdicts[0]
    assert verdicts[2].passed, verdicts[2]
    assert set(refused) >= set(skip.split(",")) - {"privilege"} - (
        {"user namespace"} if "privilege" not in skip else set()
    )
    assert len(notes) == len(refused)
    assert len(left) <= ("privilege" in skip), "at most the server's second half"
    assert folders == []


def test_the_report_reaches_the_caller(square: Task) -> None:
    report = Report()
    assert [verdict.passed for verdict in judge([Sample(square, 0, GOOD)], workers=1, report=report)] == [True]
    assert report.judged == 1
    assert report.granted or report.refused


def test_limits_are_calibrated_on_the_references(square: Task) -> None:
    slow = replace(square, task_id=2, code="def f(x):\n    for _ in range(3_000_000): pass\n    return x * x\n")
    limits = calibrate([square, slow], workers=1, base=Limits(cpu_seconds=0.05), factor=5)
    assert limits[1].cpu_seconds < limits[2].cpu_seconds
    assert limits[2].wall_seconds >= limits[2].cpu_seconds
    with pytest.raises(UserError, match="task 3"):
        calibrate([replace(square, task_id=3, code="def f(x): return 0")], workers=1)
