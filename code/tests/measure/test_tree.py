import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from codelab.measure import Meter, tree
from codelab.measure.tree import ProcessTree

MB = 1_000_000
HOLD = f"block = bytearray(b'x') * {200 * MB}; print('up', flush=True); input()"
# Starts the program above and lets it speak through its own standard streams.
PARENT_OF = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', sys.argv[1]]).returncode)"


def _start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _up(*arguments: str) -> subprocess.Popen[str]:
    child = _start(*arguments)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child


def _end(child: subprocess.Popen[str]) -> None:
    child.communicate("\n")
    assert child.returncode == 0


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(params=["kernel", "psutil"])
def listing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "psutil":
        monkeypatch.setattr(tree, "_KERNEL_LISTS_CHILDREN", False)
    elif not tree._KERNEL_LISTS_CHILDREN:
        pytest.skip("this kernel does not list children")
    return str(request.param)


def _never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "RESCAN", float("inf"))


@pytest.mark.usefixtures("listing")
def test_a_process_alone_is_what_psutil_says() -> None:
    with ProcessTree() as mine:
        assert mine.resident() == pytest.approx(psutil.Process().memory_info().rss, rel=0.05)


@pytest.mark.usefixtures("listing")
@pytest.mark.parametrize("arguments", [[HOLD], [PARENT_OF, HOLD]], ids=["child", "grandchild"])
def test_a_process_started_between_two_looks_counts_at_once_and_no_more_when_it_ended(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _never_again(monkeypatch)  # what is seen is seen for the number of the newest process
    with ProcessTree() as mine:
        before = mine.resident()
        child = _up(*arguments)
        during = mine.resident()
        _end(child)
        after = mine.resident()
    assert during - before > 200 * MB
    assert after - before < 50 * MB


@pytest.mark.parametrize("newest", [b"0", None], ids=["made up", "absent"])
def test_a_new_process_is_found_without_the_number_of_the_newest(
    newest: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProcessTree, "_newest_process", lambda self: newest)
    if newest is None:
        _never_again(monkeypatch)  # every look searches then
    with ProcessTree() as mine:
        before = mine.resident()
        child = _up(HOLD)
        time.sleep(0 if newest is None else tree.RESCAN)
        during = mine.resident()
        _end(child)
    assert during - before > 200 * MB


def test_memory_of_a_known_child_is_read_at_every_look_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    grows = f"print('up', flush=True); input(); block = bytearray(b'x') * {200 * MB}; print('up', flush=True); input()"
    child = _up(grows)
    with ProcessTree() as mine:
        before = mine.resident()
        monkeypatch.setattr(ProcessTree, "_search", lambda self: None)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n")
        child.stdin.flush()
        child.stdout.readline()
        during = mine.resident()
        _end(child)
    assert during - before > 200 * MB


def test_the_tree_is_searched_only_when_a_process_came_or_went(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []
    search: Callable[[ProcessTree], None] = ProcessTree._search

    def counted(self: ProcessTree) -> None:
        searched.append(1)
        search(self)

    monkeypatch.setattr(ProcessTree, "_search", counted)
    newest = b"1"
    monkeypatch.setattr(ProcessTree, "_newest_process", lambda self: newest)
    _never_again(monkeypatch)
    child = _up(HOLD)
    with ProcessTree() as mine:
        for _ in range(5):
            mine.resident()
        assert len(searched) == 1
        newest = b"2"
        mine.resident()
        mine.resident()
        assert len(searched) == 2
        _end(child)
        mine.resident()  # notices the end
        mine.resident()  # and looks for a successor under the same number
        mine.resident()
        assert len(searched) == 3


@pytest.mark.skipif(not tree._KERNEL_LISTS_CHILDREN, reason="opens no files")
def test_open_files_are_given_back_when_processes_end_and_when_the_tree_is_closed() -> None:
    before = _open_files()
    mine = ProcessTree()
    child = _start(HOLD)  # its two pipes stay open until its end
    mine.resident()
    assert _open_files() == before + 2 + 3
    _end(child)
    mine.resident()
    mine.resident()
    assert _open_files() == before + 2
    mine.close()
    assert _open_files() == before
    assert mine.resident() > 0
    mine.close()
    assert _open_files() == before


@pytest.mark.usefixtures("listing")
def test_a_process_that_does_not_exist_holds_nothing() -> None:
    child = _up(HOLD)
    _end(child)
    with ProcessTree(child.pid) as gone:
        assert gone.resident() == 0


def test_a_meter_sees_children_and_grandchildren_at_the_same_time() -> None:
    meter = Meter(interval=0.02)
    with meter.phase("alone") as alone:
        time.sleep(0.05)
    with meter.phase("two") as two:
        children = [_up(HOLD), _up(PARENT_OF, HOLD)]
        time.sleep(0.3)
        for child in children:
            _end(child)
    assert alone.cpu_peak is not None
    assert two.cpu_peak is not None
    assert two.cpu_peak - alone.cpu_peak > 400 * MB


def test_a_meter_leaves_no_file_open() -> None:
    meter = Meter()
    before = _open_files()
    with meter.phase("one"):
        child = _up(HOLD)
        time.sleep(0.1)
        _end(child)
    assert child.pid != os.getpid()
    assert _open_files() == before
