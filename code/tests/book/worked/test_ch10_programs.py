"""Programs are counted by what they are, whatever their names; the task shown follows its rule."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import ch10_programs
from codelab.errors import UserError
from codelab.records import Environment, Record
from codelab.records.schema import CodeFacts, RecipeFacts

LOOP = "def f1(xs, n):\n    s = 0\n    for x in xs:\n        s += x\n    return s\n"


def answer(model: str, task: int, text: str, passed: bool = False, **more: Any) -> dict[str, Any]:
    row = {"variant": model, "split": "validation", "setting": "t0.6", "task_id": task, "text": text, "passed": passed}
    return row | {"failure": "none" if passed else "wrong_value", "detail": "", "tokens": 10} | more


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Facts:
    rows = [
        answer("start", 1, LOOP, passed=True), answer("start", 2, LOOP, passed=True),
        answer("start", 2, LOOP, passed=True), answer("start", 3, "def h(:", failure="syntax"),
        answer("short", 1, "def g(v):\n    return sum(v)\n", passed=True),
        answer("short", 2, "def g(k):\n    return k\n"),
        answer("short", 3, "def h(k, l):\n    '''Doc.'''\n    return l\n"),
        answer("short", 3, "def h(k):\n    return 4\n"),
        answer("short", 2, "def g(q):\n    return q\n", setting="greedy"), answer("short", 2, LOOP, split="train"),
    ]  # fmt: skip
    monkeypatch.setattr(Facts, "samples", lambda _: rows)
    return Facts(Path("results/r/1"), Record(
        run="1", title="t", state="stopped", command=[], started="2026-11-23", finished="", seconds=9, seeds=[0],
        code=CodeFacts(sha256="0"),
        recipe=RecipeFacts(name="r", kind="grpo", sha256="0", values={"questions": {"split": "validation"}}),
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("import re\ndef count_x(items, n):\n    return count_x(items, n - 1)\n", "return f(a, b - 1)"),
        ('def g(v):\n    """Says so."""\n    w = v\n    return w\n', "w = a; return w"),
        ("def first(v):\n    pass\ndef g(*rest):\n    return rest\n", "return a"),
        ("x = 1\n", None),
        ("def g(:", None),
    ],
)
def test_bodies_forget_names_and_docstrings(text: str, seen: str | None) -> None:
    assert ch10_programs.body(text) == seen


def test_shapes_are_shares_of_all_answers(run: Facts) -> None:
    start, short = ch10_programs.shapes(run, {"start": "before", "short": "after"})
    assert (start["name"], start["one"], start["bodies"]) == ("before", 0, 0.5)
    assert (short["one"], short["echo"], short["deaf"], short["bodies"]) == (1, 0.5, 0.25, 1)


def test_the_commonest_bodies_say_for_how_many_tasks_and_how_often_they_pass(run: Facts) -> None:
    (first,) = ch10_programs.common(run, {"start": "before"}, most=1)
    assert first["body"] == "`s = 0; for x in a: s += x; return s`"
    assert (first["share"], first["tasks"], first["passes"]) == (0.75, 2, 1)


def test_the_task_shown_is_the_one_lost_that_was_solved_most_often(run: Facts) -> None:
    text = ch10_programs.lost(run, "start", "short", "start")
    assert text.count("Task 2") == 3
    assert "2 of its 2 answers pass" in text
    assert "0 of its 1 answers pass" in text
    with pytest.raises(UserError, match="start solves whatever short does"):
        ch10_programs.lost(run, "short", "start", "start")


def test_a_model_without_answers_is_a_fault(run: Facts) -> None:
    with pytest.raises(UserError, match="no answers of nobody"):
        ch10_programs.shapes(run, {"nobody": "x"})
