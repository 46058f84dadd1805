"""A bar on a terminal, one line a step everywhere else; nothing on stdout."""

import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
WORK = """
from codelab.evaluate.progress import Progress
with Progress("judging", 3) as progress:
    for step in range(3):
        progress.advance(1, f"part {step}")
"""
COMMAND = [sys.executable, "-c", WORK]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "code"), "TERM": "xterm-256color", "COLUMNS": "80"}


def test_lines_where_output_is_kept() -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    lines = done.stderr.splitlines()
    assert [line.rpartition(" after ")[0] for line in lines] == [f"judging: part {at}: {at + 1}/3" for at in range(3)]
    assert "\x1b" not in done.stderr
    assert not done.stdout


def test_a_bar_on_a_terminal_without_colour_where_none_is_wanted() -> None:
    shown = {}
    for name, more in {"colour": {}, "none": {"NO_COLOR": "1"}}.items():
        ours, theirs = pty.openpty()
        done = subprocess.run(
            COMMAND, stdout=subprocess.PIPE, stderr=theirs, text=True, check=True, env=ENVIRONMENT | more
        )
        os.close(theirs)
        shown[name] = os.read(ours, 100_000).decode()
        os.close(ours)
        assert not done.stdout
        assert "3/3" in shown[name]
        assert "after" not in shown[name], "no log lines beside the bar"
    assert "\x1b[38;" in shown["colour"] or "\x1b[3" in shown["colour"]
    assert "\x1b[38;" not in shown["none"]
