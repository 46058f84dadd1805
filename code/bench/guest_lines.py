"""A pytest plugin that notes which lines of the sandbox's guest run, where no coverage tool can follow.

The guest starts without a site, in a process that may open no file, and ends by a kill. So its fork server maps a file
before anything is taken from it, and a trace function sets one byte a line there; its children inherit both. Use
``pytest -p bench.guest_lines`` with ``CODELAB_GUEST_LINES`` naming the file. Not covered: branches.
"""

import os
from pathlib import Path

import pytest

LINES = 1024  # a file of the guest is shorter
_TRACER = """
def _follow(path, folder, names, lines):
    import mmap, os, sys
    with open(path, "r+b") as file:
        seen = mmap.mmap(file.fileno(), 0)
    places = {os.path.join(folder, name): index * lines for index, name in enumerate(names)}
    def line(frame, event, _):
        seen[places[frame.f_code.co_filename] + frame.f_lineno] = 1
        return line
    def call(frame, event, _):
        return line(frame, event, _) if frame.f_code.co_filename in places else None
    sys.settrace(call)
"""


def guest() -> list[Path]:
    """The files of the guest, in the order of their places."""
    from codelab.sandbox import guest as package  # noqa: PLC0415

    return sorted(Path(package.__file__ or "").parent.glob("*.py"))


def make(path: Path) -> None:
    """An empty file to note lines in."""
    path.write_bytes(bytes(LINES * len(guest())))


def lines(path: Path) -> dict[str, list[int]]:
    """The lines that ran, by file."""
    seen = path.read_bytes()
    places = {str(file): index * LINES for index, file in enumerate(guest())}
    return {file: [line for line in range(1, LINES) if seen[start + line]] for file, start in places.items()}


@pytest.hookimpl
def pytest_configure() -> None:
    """Let every fork server of this session note its lines."""
    from codelab.sandbox import clients  # noqa: PLC0415

    names = [path.name for path in guest()]
    arguments = (os.environ["CODELAB_GUEST_LINES"], str(guest()[0].parent), names, LINES)
    clients._BOOT = f"{_TRACER}\n_follow{arguments!r}\n{clients._BOOT}"
