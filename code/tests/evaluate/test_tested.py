"""A small file of good and bad functions through the whole step, in the real sandbox."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from codelab.cli import verbs  # noqa: F401 - registers the verbs
from codelab.cli.app import app
from codelab.evaluate.tested import SEEDS, make
from codelab.sandbox import Pool, Sample
from codelab.tasks import enlarged, mbpp
from codelab.tasks.corpus.files import read_rows, write_rows
from codelab.tasks.mbpp import Task

from .small import rows as mbpp_rows

CODE = Path(__file__).resolve().parents[2]
NONE, ALIKE = "answers: none that is plain and short", "answers: all alike"
OTHER = "answers: another one in another process"
KEPT = ("joined", "square_all", "grow", "evens", "ranked", "halves", "shown")


def pair(name: str, text: str, code: str, *examples: str) -> dict[str, Any]:
    return {
        "text": text, "code": code, "entry_point": name, "examples": list(examples),
        "source": f"some/where/{name}.py", "licence": "MIT", "group": "a",
    }  # fmt: skip


GOOD = [
    pair("joined", "Join the words with a dash between them.", "def joined(words):\n    return '-'.join(words)\n"),
    pair("square_all", "Give the squares of all the numbers.",
         "def square_all(numbers: list[int]) -> list[int]:\n    return [number * number for number in numbers]\n"),
    # It changes its argument: literals are fresh each time.
    pair("grow", "Add the number to the list and give its new sum.",
         "def grow(items: list[int], number: int):\n    items.append(number)\n    return sum(items)\n"),
    pair("evens", "Yield the even numbers from zero up to a limit.",
         "def evens(limit: int):\n    for number in range(0, limit, 2):\n        yield number\n"),
    pair("ranked", "Give the words by length, as a set of numbers and words.",
         "def ranked(words: list[str]):\n    return {(len(word), word) for word in words}\n"),
    pair("halves", "Give half of a number, dividing exactly.", "def halves(x: float) -> float:\n    return x / 2\n"),
    pair("shown", "Count how often the letter stands in the text.",
         "def shown(text, letter):\n    return text.count(letter)\n", "assert shown('banana', 'a') == 3"),
]  # fmt: skip
BAD = [
    (NONE, "raises", "def raises(n: int):\n    return 1 // (n - n)\n"),
    ("code: the interpreter's own", "printed", "def printed(n: int):\n    print(n)\n"),
    ("code: modules", "drawn", "import random\ndef drawn(n: int):\n    return random.randint(0, n)\n"),
    ("code: modules", "clock", "import time\ndef clock(n: int):\n    return int(time.time()) + n\n"),
    (OTHER, "hidden_clock", "def hidden_clock(n: int):\n    t = __builtins__['__import__']('time')\n"
     "    return int(t.monotonic() * 1e6) + n\n"),
    (OTHER, "unordered", "def unordered(words: list[str]):\n"
     "    return list({'q', 'w', 'e', 'r', *words})\n"),
    (OTHER, "counted", "def counted(n: int, seen=[]):\n    seen.append(n)\n    return len(seen) + n\n"),
    ("code: the interpreter's own", "reads", "def reads(path: str):\n    return open(path).read()\n"),
    (NONE, "endless", "def endless(n: int):\n    while True:\n        n += 1\n    return n\n"),
    (NONE, "objects", "def objects(n: int):\n    return lambda: n\n"),
    (NONE, "infinite", "import itertools\ndef infinite(n: int):\n    yield from itertools.count(n)\n"),
    (ALIKE, "all_alike", "def all_alike(n: int):\n    return n == n\n"),
    ("tests: passed by an argument given back", "same", "def same(n: int):\n    return n\n"),
    ("tests: texts that nobody can know", "label", "def label(n: int):\n    return 'penguin' if n % 2 else 'walrus'\n"),
    ("calls: objects needed", "drawn_on", "def drawn_on(canvas):\n    return canvas.width\n"),
]  # fmt: skip
FILE = [*GOOD, *(pair(name, "Give what follows from the value, whatever it is.", code) for _, name, code in BAD)]
FILE.append(
    pair("liar", "Add one to the number that is given.", "def liar(n: int):\n    return n + 2\n", "assert liar(1) == 2")
)


@pytest.fixture(scope="module")
def made() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return make(FILE, workers=2)


def test_good_functions_get_tests(made: tuple[list[dict[str, Any]], dict[str, Any]]) -> None:
    rows, counts = made
    assert [row["entry_point"] for row in rows] == list(KEPT)
    for row, given in zip(rows, GOOD, strict=True):
        assert {**row, "examples": given["examples"], "derived": None} == {**given, "derived": None}
        assert 2 <= len(row["examples"]) <= 3
        assert len({test.rpartition(" == ")[2] for test in row["examples"]}) > 1
        assert row["derived"] == len(row["examples"]) - len(given["examples"])
    assert rows[-1]["examples"][0] == "assert shown('banana', 'a') == 3"
    assert all(test.startswith("assert list(evens(") for test in rows[3]["examples"])
    assert (counts["pairs"], counts["tasks"]) == (len(FILE), len(KEPT))
    assert counts["tests"] == sum(len(row["examples"]) for row in rows) == counts["tests_derived"] + 1
    assert sum(counts["left_out"].values()) == len(BAD) + 1


def test_bad_functions_are_left_out_for_their_reasons(made: tuple[list[dict[str, Any]], dict[str, Any]]) -> None:
    reasons = Counter(reason for reason, _, _ in BAD)
    assert made[1]["left_out"] == reasons | {"code: not what its docstring shows": 1}


def test_the_same_pairs_give_the_same_file_and_the_loader_takes_it(
    made: tuple[list[dict[str, Any]], dict[str, Any]], tmp_path: Path
) -> None:
    source, out = tmp_path / "pairs.jsonl.zst", tmp_path / "tested.jsonl.zst"
    write_rows(source, FILE)
    said = CliRunner().invoke(app, ["corpus", "tests", "--pairs", str(source), "--out", str(out), "--workers", "1"])
    assert (said.exit_code, said.output.splitlines()[-1].rpartition(": ")[2]) == (
        0, f"{len(KEPT)} of {len(FILE)} pairs have tests, {made[1]['tests']} in all",
    )  # fmt: skip
    assert list(read_rows(out)) == made[0]
    other = tmp_path / "again.jsonl.zst"
    write_rows(other, made[0])
    assert out.read_bytes() == other.read_bytes()
    facts = json.loads((tmp_path / "tested.json").read_text(encoding="utf-8"))
    assert facts.items() >= made[1].items()
    assert set(facts) - set(made[1]) == {"pairs_sha256", "sha256", "bytes"}

    def passing(tasks: Sequence[Task]) -> frozenset[int]:
        with Pool(1) as pool:
            verdicts = list(pool.judge(Sample(task, 0, task.code) for task in tasks))
        return frozenset(verdict.task_id for verdict in verdicts if verdict.passed)

    everything = mbpp.tasks_of_rows(enumerate(mbpp_rows(range(1, 975)), 1), "all")
    found = enlarged.load(out, everything, 2, passing)
    assert [task.entry_point for task in found.tasks] == list(KEPT)
    assert found.left_out == {}


def test_a_wrong_name_and_a_missing_file_are_said_at_once(tmp_path: Path) -> None:
    source = tmp_path / "pairs.jsonl.zst"
    for arguments, words in (
        (["--pairs", str(source)], "codelab corpus build"),
        (["--pairs", str(source), "--out", str(tmp_path / "x.json")], "ends in .jsonl.zst"),
    ):
        said = CliRunner().invoke(app, ["corpus", "tests", *arguments])
        assert words in str(said.exception)


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    source, out = tmp_path / "pairs.jsonl.zst", tmp_path / "tested.jsonl.zst"
    write_rows(source, FILE * 40)
    process = subprocess.Popen(
        [sys.executable, "-m", "codelab", "corpus", "tests", "--pairs", str(source), "--out", str(out)],
        env={**os.environ, "PYTHONPATH": str(CODE)}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        # A shell ignores interrupts in what it starts in the background, and the tests may be such a thing.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )  # fmt: skip
    try:
        # Not while it imports, but at work: all servers run.
        until = time.monotonic() + 60
        while len(psutil.Process(process.pid).children()) < len(SEEDS) + 2 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
    finally:
        process.kill()  # else it lives on as a child of later tests
        process.wait()
    assert [file.name for file in tmp_path.iterdir()] == ["pairs.jsonl.zst"]
