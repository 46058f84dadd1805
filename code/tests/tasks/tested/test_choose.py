"""Which answered calls become tests, and which tasks a program that never computes would pass."""

import ast
from typing import Any

import pytest

from codelab.tasks.tested.choose import Answered, chosen, considered, summary, trivial, unguessable, unlike


def answered(call: str, expected: str, kills: tuple[int, ...] = (), *, shown: bool = False) -> Answered:
    arguments: tuple[Any, ...] = tuple(map(ast.literal_eval, ast.parse(call, mode="eval").body.args))  # type: ignore[attr-defined]
    return Answered(call, arguments, expected, frozenset(kills), shown)


def test_different_answers_are_considered_first_and_empty_ones_once() -> None:
    many = [answered(f"f({n})", "1") for n in range(20)]
    many += [answered("f([])", "[]"), answered("f([0])", "[]"), answered("f(-1)", "2")]
    found = considered(many)
    assert [one.expected for one in found] == ["1", "[]", "2", *["1"] * 7]
    assert considered([answered("f('" + "x" * 110 + "')", "1")]) == []


def test_the_docstrings_own_come_first_and_the_rest_differs_and_kills() -> None:
    given = [answered("f(1)", "True", shown=True)]
    offered = [
        answered("f(2)", "True", (1, 2, 3)),
        answered("f(3)", "False", (1,)),
        answered("f(4)", "False", (1, 2)),
        answered("f(5)", "True", (4,)),
    ]
    assert [one.call for one in chosen(given, offered)] == ["f(1)", "f(4)", "f(2)"]
    assert chosen(given * 1, [answered("f(1)", "True")]) == given  # the same call again is no further test


def test_no_two_empty_ones_where_others_are() -> None:
    offered = [answered("f([])", "0"), answered("f([1])", "[]"), answered("f([2])", "3"), answered("f([3])", "4")]
    assert sum(one.expected in ("0", "[]") for one in chosen([], offered)) == 1


@pytest.mark.parametrize(
    ("tests", "why"),
    [
        ([("f(1)", "3"), ("f(2)", "3")], "one answer to every call"),
        ([("f(1)", "None"), ("f(2)", "None"), ("f(3)", "1")], "mostly None"),
        ([("f(1, 'a')", "'a'"), ("f(2, 'b')", "'b'")], "an argument given back"),
        ([("f([])", "False"), ("f([2])", "True")], "whether an argument is empty"),
        ([("f(1.5)", "'1.5'"), ("f(2.0)", "'2.0'")], "an argument as text"),
        ([("f('a', 'xy')", "['xy']"), ("f('b', 'yz')", "['yz']")], "an argument in a frame"),
        ([("f('a')", "('', 'a')"), ("f('b')", "('', 'b')")], "an argument in a frame"),
        ([("f(1)", "[1, 2]"), ("f(2)", "[2, 4]")], ""),
        ([("f(b'a')", "[97]"), ("f(b'b')", "[98]")], ""),
        ([("f(1)", "'_1'"), ("f(2)", "'_2'")], ""),
        ([("f('ab')", "['a', 'b']"), ("f('c')", "['c']")], "an argument as a list"),
        ([("f(0)", "False"), ("f(2)", "2")], ""),
        ([("f(1)", "True"), ("f(2)", "False")], ""),
        ([("f(1)", "1"), ("f(2)", "4")], ""),
    ],
)
def test_trivial_programs(tests: list[tuple[str, str]], why: str) -> None:
    assert trivial([answered(call, expected) for call, expected in tests]) == why


def test_answers_of_another_type_than_promised() -> None:
    numbers, truths = [answered("f(1)", "2")], [answered("f(1)", "True")]
    assert unlike("Check whether x is even.", [answered("f(1)", "'yes'")])
    assert not unlike("Check whether x is even.", truths)
    assert unlike("Bubble sort: swap neighbours.", numbers)
    assert not unlike("Give the sorted number.", numbers)
    assert unlike("Largest area of a histogram", [answered("f(1)", "(1, 2, 3)")])
    assert not unlike("Largest area, left and right end of a histogram", [answered("f(1)", "(1, 2, 3)")])


def test_texts_that_only_the_code_knows() -> None:
    code = "def f(x):\n    return 'linux' if x else 'windows'\n"
    tests = [answered("f(1)", "'linux'"), answered("f(0)", "'windows'")]
    assert unguessable("Name the system.", code, tests)
    assert not unguessable("Say linux for true values, else windows.", code, tests)


def test_summary_counts() -> None:
    kept = [
        [answered("f(1)", "[1]", shown=True), answered("f(2)", "2")],
        [answered("f(3)", "2"), answered("f(4)", "3")],
    ]
    found = summary(kept, {"a": 1, "b": 2})
    assert (found["tasks"], found["tests"], found["tests_derived"]) == (2, 4, 3)
    assert found["tests_a_task"] == {"2": 2}
    assert found["answer_types"] == {"int": 3, "list": 1}
    assert list(found["left_out"]) == ["b", "a"]
    assert found["tasks_with_examples_of_their_own"] == 1
