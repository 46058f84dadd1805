"""From what a child wrote and how it ended to a verdict, without a child; and the judge's own words and edges.

What changed programs got away with before these tests: see ``bench.mutation``.
"""

import ast
import json
import signal
from typing import Any

import pytest

from codelab.errors import UserError
from codelab.sandbox.clients import Job, Reply
from codelab.sandbox.decode import Answer, Decoder, ForgedError, frames, spread
from codelab.sandbox.guest.server import CPU, ENDED, WALL
from codelab.sandbox.plan import Outcome, Plan, Step, _Splitter, plan
from codelab.sandbox.types import Limits, Sample, Verdict
from codelab.sandbox.verdicts import timed_out, verdict
from codelab.tasks.mbpp import Task

TESTS = ("assert f(2) == 4", "assert f(3) == 9")
RIGHT = (["v", 4], ["v", 9])
PROGRAM_RAN = ["p", "ok", ""]
NONE = (0, ENDED)
UNANSWERED = "ended before it answered every call "
FORGED = "wrote to the pipe by itself: "


def reply(code: int = 0, reason: int = ENDED) -> Reply:
    return Reply(code, reason, 0.25, 0.5)


def judge(written: list[Any], ended: tuple[int, int] = NONE, **job: Any) -> Verdict:
    task = Task(task_id=7, text="", code="", tests=TESTS)
    output = bytearray("".join(json.dumps(frame) + "\n" for frame in written).encode())
    sample = Sample(task, 3, "")
    made = Job(sample, b"", Limits(cpu_seconds=0.5, wall_seconds=5.0, output_bytes=100), output, **job)
    return verdict(made, reply(*ended), plan("", TESTS, frozenset({"f"})))


def test_a_whole_verdict() -> None:
    assert judge([["ready"], PROGRAM_RAN, *RIGHT], retried=True) == Verdict(
        7, 3, passed=True, failure="none", detail="", seconds=0.5, cpu_seconds=0.25, tests_passed=2, tests_total=2,
        retried=True,
    )  # fmt: skip
    assert not judge([["ready"], PROGRAM_RAN, *RIGHT]).retried


@pytest.mark.parametrize(
    ("written", "ended", "expected"),
    [
        ([], (1, ENDED), ("sandbox_error", "the child ended before its program was read (exit 1)", 0)),
        ([], (0, ENDED), ("sandbox_error", "the child ended before its program was read (exit 0)", 0)),
        ([], (-9, ENDED), ("sandbox_error", "the child ended before its program was read (SIGKILL)", 0)),
        ([], (-99, ENDED), ("sandbox_error", "the child ended before its program was read (signal 99)", 0)),
        ([["fault", "no memory"]], NONE, ("sandbox_error", "no memory", 0)),
        ([["ready"], ["p", "syntax", "line 1"]], NONE, ("syntax", "line 1", 0)),
        ([["ready"], ["p", "missing_name", "np"]], NONE, ("missing_name", "np", 0)),
        ([["ready"], PROGRAM_RAN, ["v", 4], ["v", 8]], NONE, ("wrong_value", "the test does not hold", 1)),
        ([["ready"], PROGRAM_RAN, ["e", "exception", "boom"], ["v", 9]], NONE, ("exception", "boom", 1)),
        ([["ready"], PROGRAM_RAN, ["x", "a lock"], ["v", 9]], NONE, ("wrong_value", "the answer is a lock", 1)),
        ([["ready"], PROGRAM_RAN, ["v", None], ["v", 9]], NONE, ("wrong_value", "the test does not hold", 1)),
        ([["ready"], PROGRAM_RAN, ["v", 4]], (-9, ENDED), ("killed", UNANSWERED + "(SIGKILL)", 1)),
        ([["ready"], PROGRAM_RAN, ["v", 4]], NONE, ("killed", UNANSWERED + "(exit 0)", 1)),
        ([["ready"], PROGRAM_RAN, ["v", 4]], (3, ENDED), ("killed", UNANSWERED + "(exit 3)", 1)),
        ([["ready"], PROGRAM_RAN, *RIGHT], (1, ENDED), ("killed", UNANSWERED + "(exit 1)", 2)),
        ([["ready"], PROGRAM_RAN, ["v", 4]], (-9, CPU), ("timeout", "cpu limit of 0.5 s", 1)),
        ([["ready"], PROGRAM_RAN, ["v", 4]], (-9, WALL), ("timeout", "wall limit of 5 s", 1)),
        ([["ready"], PROGRAM_RAN, ["v", 4], ["v", 8]], (-9, WALL), ("timeout", "wall limit of 5 s", 1)),
        ([["fault", "x" * 400]], NONE, ("sandbox_error", "x" * 300, 0)),
        ([["ready"], ["p", "exception", "y" * 300]], NONE, ("exception", "y" * 200, 0)),
        ([["ready"], PROGRAM_RAN, ["e", "missing_name", "np"], ["v", 9]], NONE, ("missing_name", "np", 1)),
        ([["ready"], PROGRAM_RAN, ["x", 5]], NONE, ("killed", FORGED + "not a text", 0)),
        ([["ready"], PROGRAM_RAN, {}], NONE, ("killed", FORGED + "not a frame", 0)),
        ([["ready"], PROGRAM_RAN, []], NONE, ("killed", FORGED + "not a frame", 0)),
        ([["ready"], ["q", "ok", ""]], NONE, ("killed", FORGED + "not a report on the program", 0)),
        ([["ready"], ["p", "ok", "", ""]], NONE, ("killed", FORGED + "not a report on the program", 0)),
        ([["ready"], PROGRAM_RAN], (-int(signal.SIGXCPU), ENDED), ("timeout", "cpu limit of 0.5 s", 0)),
        ([["ready"], PROGRAM_RAN, *RIGHT], (-9, WALL), ("killed", UNANSWERED + "(SIGKILL)", 2)),
        ([["ready"], PROGRAM_RAN, *RIGHT, ["v", 1]], NONE, ("killed", FORGED + "more answers than calls", 0)),
        ([["ready"], PROGRAM_RAN, ["v", ["?"]]], NONE, ("killed", FORGED + "an unknown type tag", 0)),
        ([["ready"], PROGRAM_RAN, ["v", ["i", "z"]]], NONE, ("killed", FORGED + "a malformed value", 0)),
        ([["ready"], PROGRAM_RAN, ["w"]], NONE, ("killed", FORGED + "not an answer", 0)),
        ([["ready"], PROGRAM_RAN, ["x", "a", "b"]], NONE, ("killed", FORGED + "not an answer", 0)),
        ([["ready"], PROGRAM_RAN, ["y", "a"]], NONE, ("killed", FORGED + "not an answer", 0)),
        ([["ready"], PROGRAM_RAN, ["v", ["s", ["l"]]]], NONE, ("killed", FORGED + "a key that cannot be hashed", 0)),
        ([["ready"], ["v", 4]], NONE, ("killed", FORGED + "not a report on the program", 0)),
    ],
)  # fmt: skip
def test_how_it_ended_and_what_it_wrote_decide(
    written: list[Any], ended: tuple[int, int], expected: tuple[str, str, int]
) -> None:
    found = judge(written, ended)
    assert (found.failure, found.detail, found.tests_passed) == expected
    assert not found.passed
    assert found.tests_total == 2


def test_a_flood_is_killed() -> None:
    found = judge([["ready"], PROGRAM_RAN, *RIGHT], flooded=True)
    assert (found.failure, found.detail) == ("killed", "answered more than 100 bytes")


@pytest.mark.parametrize(
    ("code", "reason", "which"),
    [(0, ENDED, ""), (0, CPU, "cpu"), (0, WALL, "wall"), (-int(signal.SIGXCPU), ENDED, "cpu"),
     (int(signal.SIGXCPU), ENDED, ""), (-9, ENDED, "")],
)  # fmt: skip
def test_which_time_ran_out(code: int, reason: int, which: str) -> None:
    assert timed_out(reply(code, reason)) == which


def test_answers_keep_what_they_say() -> None:
    said = frames(b'["ready"]\n["p", "ok", ""]\n["x", "a lock"]\n["e", "exception", "boom"]\n["v", 1]\n', 3)
    assert said.answers == (Answer("x", detail="a lock"), Answer("exception", detail="boom"), Answer("v", 1))


def test_what_is_no_json_is_refused_in_words() -> None:
    assert frames(b'["ready"]\nnonsense\n', 1).forged == "not JSON"
    with pytest.raises(ForgedError, match=r"^a malformed value$"):
        Decoder().decode(["c", 1.0])


def test_keys_that_share_a_hash() -> None:
    prime = (1 << 61) - 1  # numbers that differ by it share a hash
    with pytest.raises(ForgedError, match=r"^values that share one hash$"):
        spread(i * prime for i in range(201))
    few = [i * prime for i in range(8)] + [0] * 200
    assert list(spread(few)) == few, "eight unlike ones are honest, and equal ones are one"
    with pytest.raises(ForgedError):
        spread([*few, 8 * prime])
    under = [i * prime for i in range(200)]
    assert list(spread(under)) == under, "up to 200 items nobody counts"
    just = [*(i * prime for i in range(200)), 5]
    assert list(spread(just)) == just, "200 that share one are let through among others too"
    mixed = [*range(1, 300), *(i * prime for i in range(201))]
    with pytest.raises(ForgedError):
        spread(mixed)
    honest = list(range(1000))
    assert list(spread(honest)) == honest


def split(*tests: str, setup: str = "", defined: frozenset[str] = frozenset({"f"})) -> Plan:
    return plan(setup, tests, defined, "task 1")


@pytest.mark.parametrize(
    ("setup", "name", "theirs"),
    [
        ("value = 1", "value", True),
        ("def g():\n    inner = 1", "g", True),
        ("def g():\n    inner = 1", "inner", True),
        ("class Box: pass", "Box", True),
        ("async def later(): pass", "later", True),
        ("import os.path", "os", True),
        ("import numpy as np", "np", True),
        ("from functools import cache", "cache", True),
        ("import math", "math.pi", False),
        ("print(value)", "len", False),
        ("", "unknown", True),
    ],
)
def test_whose_name_it_is(setup: str, name: str, theirs: bool) -> None:
    made = split(f"assert {name} == f(1)", setup=setup)
    asked = [step.source for step in made.steps if step.kind == "e"]
    assert asked == ([name] if theirs else []) + ["f(1)"]
    kinds = [step.kind for step in made.steps]
    assert kinds == ["x"] * bool(setup) + ["e"] * len(asked)


@pytest.mark.parametrize(
    ("setup", "names"),
    [
        ("max = 1\nprint(max)", {"max"}),
        ("def sum(x):\n    len = x", {"sum", "len"}),
        ("class list: pass", {"list"}),
        ("async def set(): pass", {"set"}),
        ("import bin.sub.deep", {"bin"}),
        ("import bin.sub as min", {"min"}),
        ("from tools import any, all as every", {"any", "every"}),
        ("import math\nimport bin", {"bin"}),
        ("max = 1\nimport bin\nmin = 2", {"max", "bin", "min"}),
        ("import bin\nimport any", {"bin", "any"}),
    ],
)
def test_what_a_setup_makes_the_programs_own(setup: str, names: set[str]) -> None:
    splitter = _Splitter({"f"})
    assert splitter.execute(ast.parse(setup).body) == 0
    assert splitter.candidate == {"f"} | names
    assert all(splitter.is_candidate(name) for name in names)


def test_names_that_python_or_the_judge_knows_are_not_the_programs() -> None:
    splitter = _Splitter({"f", "max"})
    known = {name: splitter.is_candidate(name) for name in ("len", "math", "print", "max", "f", "unknown")}
    assert known == {"len": False, "math": False, "print": False, "max": True, "f": True, "unknown": True}
    texts = (
        "[max for max in (1, 2)]",
        "[max for item in (1, 2)]",
        "(lambda max: max)(1)",
        "(lambda *, un: un)(1)",
        "len('a')",
    )
    uses = [splitter.uses_candidate(ast.parse(text, mode="eval")) for text in texts]
    assert uses == [False, True, False, False, False]


def test_statements_between_asserts() -> None:
    made = split("a = f(1)\nassert a == 1\nb = f(2)\nassert b == 2", setup="import os\nx = 1")
    assert made.steps == (
        Step("x", "import os\nx = 1"), Step("x", "a = f(1)"), Step("e", "a"), Step("x", "b = f(2)"), Step("e", "b"),
    )  # fmt: skip
    assert json.loads(made.json)[0] == ["x", "import os\nx = 1"]
    ran = Answer("v", None)
    good = [ran, ran, Answer("v", 1), ran, Answer("v", 2)]
    assert made.verdicts(good) == [Outcome("none")]
    assert made.verdicts([ran, Answer("exception", detail="boom"), *good[2:]]) == [Outcome("exception", "boom")]
    assert made.verdicts([ran, Answer("x", detail="a module"), *good[2:]]) == [Outcome("none")], "nobody looks at it"
    assert made.verdicts(good[:3]) == [None]


def test_what_is_said_of_a_test_that_does_not_hold() -> None:
    made = split("assert f(1) < 2")
    assert made.verdicts([Answer("v", 3)]) == [Outcome("wrong_value", "the test does not hold")]
    assert made.verdicts([Answer("v", "a")]) == [Outcome("wrong_value", "cannot be compared: TypeError")]
    assert made.verdicts([Answer("x", detail="a socket")]) == [Outcome("wrong_value", "the answer is a socket")]
    assert made.verdicts([Answer("missing_name", detail="np")]) == [Outcome("missing_name", "np")]


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ("if f(1):\n    assert f(2)", "an assert inside another statement"),
        ("assert any(x == 3 for x in f(2))", "a comparison that only the child could make"),
    ],
)
def test_why_a_test_cannot_be_split(test: str, why: str) -> None:
    with pytest.raises(UserError, match=f"^task 1, test 1: cannot be judged outside the child: {why}$"):
        split(test)
