"""Run a function in a fresh interpreter, so that what it measures starts from nothing.

The function takes one JSON mapping and returns one. The child dies with its parent, also when the parent is killed.
Not covered: objects that JSON cannot hold (pass paths instead).
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

from codelab.errors import UserError

_TAIL = 4000
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


class ChildError(RuntimeError):
    """The child failed for a reason that is not the user's to mend; the message ends with its last output."""


def run_in_child(target: str, payload: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
    """Call ``module:function`` with ``payload`` in a new interpreter and return what it returns.

    Args:
        target: importable module and function name, separated by a colon.
        payload: JSON values only.
        timeout: seconds after which the child and its descendants are killed.

    Raises:
        UserError: the function raised one.
        ChildError: any other exception, a crash, or the timeout.
    """
    code_root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [code_root, os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="codelab-child-") as folder:
        question, answer, log = (Path(folder) / name for name in ("payload.json", "answer.json", "log"))
        question.write_text(json.dumps({"target": target, "payload": payload}), encoding="utf-8")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "codelab.measure.child", str(question), str(answer), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": path},
            )
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise ChildError(f"{target}: took longer than {timeout} seconds{_tail(log)}") from None
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        try:
            reply = json.loads(answer.read_bytes())
        except (OSError, json.JSONDecodeError):
            raise ChildError(f"{target}: ended with status {status} and no answer{_tail(log)}") from None
    if "user_error" in reply:
        raise UserError(reply["user_error"])
    if "error" in reply:
        raise ChildError(f"{target}: {reply['error']}")
    result = reply["result"]
    if not isinstance(result, dict):
        raise ChildError(f"{target}: expected a mapping, got {type(result).__name__}")
    return result


def _tail(log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    return f"; its last output:\n{text[-_TAIL:]}" if text else ""


def _main(question: Path, answer: Path, parent: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it was killed before the line above
        return
    asked = json.loads(question.read_bytes())
    try:
        module, _, name = asked["target"].partition(":")
        reply: dict[str, Any] = {"result": getattr(import_module(module), name)(asked["payload"])}
        text = json.dumps(reply, allow_nan=False)
    except UserError as error:
        text = json.dumps({"user_error": str(error)})
    except Exception:
        text = json.dumps({"error": traceback.format_exc()[-_TAIL:]})
    temporary = answer.with_suffix(".tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(answer)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
