"""Small pieces for tests of the evaluator: a few tasks and a judge that needs no processes."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from codelab.sandbox import Limits, Report, Sample, Verdict
from codelab.tasks import mbpp

CODE = {
    0: "def add_{i}(a, b):\n    return a + b",
    1: "def run_{i}(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total",
}


def rows(ids: Iterable[int]) -> list[dict[str, Any]]:
    made = []
    for i in ids:
        name = f"{'add' if i % 2 == 0 else 'run'}_{i}"
        test = f"assert {name}(1, 2) == 3" if i % 2 == 0 else f"assert {name}(3) == 3"
        made.append(
            {
                "task_id": i,
                "text": f"Write function number {i}.",
                "code": CODE[i % 2].format(i=i),
                "test_setup_code": "",
                "test_list": [test, test, test],
                "challenge_test_list": [],
            }
        )
    return made


def data(path: Path, ids: Iterable[int]) -> Path:
    """A small mbpp.jsonl, which then counts as the published one in this process."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(ids)), encoding="utf-8")
    mbpp.SHA256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return path


def derivable(path: Path) -> Path:
    """Instruction pairs: eight that may become tasks, two that stand in the test split of :func:`rows`."""
    made = [
        {
            "text": f"Add {i} to both numbers and multiply them.",
            "code": f"def more_{i}(a, b):\n    return (a + {i}) * (b + {i})\n",
            "entry_point": f"more_{i}",
            "source": "a/b/c.py",
            "examples": [f"assert more_{i}(0, 0) == {i * i}", f"assert more_{i}(1, 1) == {(i + 1) ** 2}"],
        }
        for i in range(1, 9)
    ]
    made += [made[0] | {"text": "Write function number 12."}, made[1] | {"entry_point": "run_11"}]
    made[-1] |= {
        "code": "def run_11(n):\n    return n\n",
        "examples": ["assert run_11(1) == 1", "assert run_11(2) == 2"],
    }
    path.write_bytes(zstandard.compress("".join(json.dumps(row) + "\n" for row in made).encode()))
    return path


class FakePool:
    """Verdicts from a hash of the program: repeatable, spread over the failure classes."""

    def __init__(self, workers: int | None = None, limits: Limits | dict[int, Limits] | None = None) -> None:
        self.report = Report(granted=("limits",), refused={"network": "not here"})

    def __enter__(self) -> "FakePool":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        for sample in reversed(list(samples)):
            value = hashlib.sha256(f"{sample.task.task_id}{sample.program}".encode()).digest()[0]
            failure = ("none", "wrong_value", "syntax", "timeout")[value % 4]
            held = 3 if failure == "none" else value % 3
            yield Verdict(*sample.key, failure == "none", failure, "", 0.01, 0.01, held, 3)
