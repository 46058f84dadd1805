import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from codelab.errors import UserError
from codelab.measure import run_in_child
from codelab.measure.child import ChildError


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "child_targets.py").write_text(Path(__file__).with_name("targets.txt").read_text())
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_answers_from_another_process_whatever_is_printed() -> None:
    reply = run_in_child("child_targets:echo", {"a": [1, 2.5, "ü"]})
    assert reply["a"] == [1, 2.5, "ü"]
    assert reply["pid"] != os.getpid()


def test_user_error_is_raised_again() -> None:
    with pytest.raises(UserError, match="weights are missing"):
        run_in_child("child_targets:refuse", {})


@pytest.mark.parametrize(
    ("name", "match"), [("fail", "ZeroDivisionError"), ("crash", "status -9"), ("wrong", "expected a mapping")]
)
def test_other_ends_are_told(name: str, match: str) -> None:
    with pytest.raises(ChildError, match=match):
        run_in_child(f"child_targets:{name}", {})


def test_timeout_kills_the_child_and_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    with pytest.raises(ChildError, match="longer than"):
        run_in_child("child_targets:hang", {"note": str(note)}, timeout=3)
    _assert_gone([int(pid) for pid in note.read_text().split()])


def test_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    code = f"from codelab.measure import run_in_child; run_in_child('child_targets:hang', {{'note': {str(note)!r}}})"
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ["PYTHONPATH"]])}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    deadline = time.monotonic() + 20
    while not note.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _assert_gone([int(note.read_text().split()[0])])


def _assert_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(_alive(pid) for pid in pids):
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    try:
        status: Any = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return False
    return bool(status != psutil.STATUS_ZOMBIE)
