"""The child: takes its measures, reads one job, runs the program, and answers each call with a value.

A job is JSON: the program, and steps that are either statements to execute (``x``) or calls to evaluate (``e``). Each
step is answered by one frame. The child ends by ``_exit``, so that nothing that the program registered runs.
"""

import builtins
import fcntl
import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from . import encode, kernel
from .confine import Cage

NAME = "candidate"


def main(cage: Cage, folder: str, limits: tuple[int, int, int, int, int], job: int, out: int) -> NoReturn:
    """Run one job and end the process; never returns, whatever the program does to it."""
    send = _sender(out)
    leave: Callable[[int], NoReturn] = os._exit
    try:
        cage.close(folder, limits)
        job, out = _keep(job, out)
        send = _sender(out)
        with os.fdopen(job, "rb") as handle:
            work = json.load(handle)
    except BaseException as error:  # a fault of the sandbox: told before any program could
        send(encode.line("fault", f"{type(error).__name__}: {error}"[:300]))
        leave(3)
    send(encode.line("ready"))
    try:
        _run(work["program"], work["steps"], send)
    except BaseException:
        leave(2)
    leave(0)


def _keep(job: int, out: int) -> tuple[int, int]:
    """Move the two descriptors to 3 and 4 and close all others; 0 to 2 stay on the null device."""
    high_job, high_out = fcntl.fcntl(job, fcntl.F_DUPFD, 5), fcntl.fcntl(out, fcntl.F_DUPFD, 5)
    os.dup2(high_job, 3, inheritable=False)
    os.dup2(high_out, 4, inheritable=False)
    kernel.close_from(5)
    return 3, 4


def _sender(out: int) -> Callable[[bytes], None]:
    write = os.write

    def send(frame: bytes) -> None:
        while frame:
            frame = frame[write(out, frame) :]

    return send


def _run(program: str, steps: list[list[str]], send: Callable[[bytes], None]) -> None:
    line, answer, blame = encode.line, encode.answer, _blame
    compile_, exec_, eval_ = builtins.compile, builtins.exec, builtins.eval
    module = types.ModuleType(NAME)
    sys.modules[NAME] = module
    sys.argv[:] = [""]
    names: dict[str, Any] = module.__dict__
    try:
        code = compile_(program, NAME, "exec", dont_inherit=True)
    except BaseException as error:
        send(line("p", "syntax", blame(error)[1]))
        return
    try:
        exec_(code, names)
    except BaseException as error:
        send(line("p", *blame(error)))
        return
    send(line("p", "ok", ""))
    for kind, source in steps:
        try:
            if kind == "x":
                exec_(compile_(source, "test", "exec", dont_inherit=True), names)
                frame = line("v", None)
            else:
                frame = answer(eval_(compile_(source, "test", "eval", dont_inherit=True), names))
        except BaseException as error:
            frame = line("e", *blame(error))
        send(frame)


def _blame(error: BaseException) -> tuple[str, str]:
    """Failure class and one line about an exception, whatever its methods do."""
    kind = type(error)
    missing = kind is NameError
    try:
        text = f"{type.__dict__['__name__'].__get__(kind)}: {error}"
    except BaseException:
        text = "an exception that cannot be shown"
    return ("missing_name" if missing else "exception"), str.encode(text[:200], "ascii", "replace").decode("ascii")
