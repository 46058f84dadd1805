"""A test is split so that the child sees calls alone, and the rest is judged as Python would."""

import ast

import pytest

from codelab.errors import UserError
from codelab.sandbox.decode import Answer
from codelab.sandbox.plan import Plan, plan
from codelab.tasks.mbpp import Task

DEFINED = frozenset({"f", "g", "Node"})


def split(*tests: str, setup: str = "") -> Plan:
    return plan(setup, tests, DEFINED)


def asked(made: Plan) -> list[str]:
    return [step.source for step in made.steps if step.kind == "e"]


def judged(test: str, *values: object) -> str:
    outcome = split(test).verdicts([Answer("v", value) for value in values])[0]
    assert outcome is not None
    return outcome.failure


@pytest.mark.parametrize(
    ("test", "calls"),
    [
        ("assert f(2) == 4", ["f(2)"]),
        ("assert (f(2)) == (4)", ["f(2)"]),
        ("assert not f(2)", ["f(2)"]),
        ("assert f(2)", ["f(2)"]),
        ("assert f(2) is None, 'say why'", ["f(2)"]),
        ("assert f(2) == g(3)", ["f(2)", "g(3)"]),
        ("assert f(g(2)) == 4", ["f(g(2))"]),
        ("assert set(f(2)) == set((1, 2))", ["f(2)"]),
        ("assert sorted(f(2)) == [1, 2]", ["f(2)"]),
        ("assert sorted(f(2), key=lambda item: -item) == [2, 1]", ["sorted(f(2), key=lambda item: -item)"]),
        ("assert math.isclose(f(2), 3.14, rel_tol=0.01)", ["f(2)"]),
        ("assert abs(f(2) - 3.14) < 0.01", ["f(2)"]),
        ("assert 1 < f(2) <= 3 != g(2)", ["f(2)", "g(2)"]),
        ("assert f(2) == 4 and g(2) == 5 or f(3) == 6", ["f(2)", "g(2)", "f(3)"]),
        ("assert (f(1), f(2)) == (1, 4)", ["f(1)", "f(2)"]),
        ("assert f(2)[0].name == 'x'", ["f(2)[0].name"]),
        ("assert Node(1).child(2).value == 3", ["Node(1).child(2).value"]),
        ("assert isinstance(f(2), str)", ["f(2)"]),
        ("assert [f(x) for x in (1, 2)] == [1, 4]", ["[f(x) for x in (1, 2)]"]),
        ("assert f([x == 1 for x in (1, 2)]) == 7", ["f([x == 1 for x in (1, 2)])"]),
        ("assert 4 in f(2)", ["f(2)"]),
    ],
)
def test_only_calls_go_to_the_child(test: str, calls: list[str]) -> None:
    assert asked(split(test)) == calls


@pytest.mark.parametrize(
    "test",
    [
        "assert all(f(x) == y for x, y in [(1, 1), (2, 4)])",
        "assert [f(x) == 4 for x in (1, 2)] == [False, True]",
        "assert any(x == 3 for x in f(2))",
        "for x in (1, 2):\n    assert f(x) == x",
        "try:\n    f(1)\n    assert False\nexcept ValueError:\n    pass",
        "assert (lambda value: value == 3)(f(2))",
    ],
)
def test_what_would_show_an_expected_value_is_refused_by_name(test: str) -> None:
    with pytest.raises(UserError, match="test 1: cannot be judged outside the child"):
        split(test)


@pytest.mark.parametrize(
    ("test", "values", "failure"),
    [
        ("assert f(2) == 4", (4,), "none"),
        ("assert f(2) == 4", (4.0,), "none"),
        ("assert f(2) == 4", (5,), "wrong_value"),
        ("assert f(2) == 4", ("4",), "wrong_value"),
        ("assert f(2) is True", (1,), "wrong_value"),
        ("assert f(2) is None", (None,), "none"),
        ("assert not f(2)", ([],), "none"),
        ("assert 1 < f(2) < 3", (2,), "none"),
        ("assert 1 < f(2) < 3", (3,), "wrong_value"),
        ("assert 1 < f(2)", ("a",), "wrong_value"),
        ("assert f(2) == 1 or g(2) == 2", (0, 2), "none"),
        ("assert math.isclose(f(2), 3.14, rel_tol=0.01)", (3.141,), "none"),
        ("assert abs(f(2) - 3.14) < 0.001", (3.2,), "wrong_value"),
        ("assert set(f(2)) == {1, 2}", ([2, 1, 1],), "none"),
        ("assert set(f(2)) == {1}", ([[1]],), "wrong_value"),
        ("assert sys.getsizeof((1, 2)) == f(2)", ((1, 2).__sizeof__(),), "wrong_value"),
        ("assert f(2) ** g(2) == 1", (10**9, 10**9), "wrong_value"),
        ("assert f(2) * g(2) == 1", ("a" * 10, 10**9), "wrong_value"),
        ("assert list(range(f(2))) == 1", (10**12,), "wrong_value"),
        ("assert f(2) << g(2) == 1", (1, 10**12), "wrong_value"),
        ("assert f(2) % 2 == 1", ("%1000000000d",), "wrong_value"),
        ("assert set(f(2)) == {1}", ([i * (2**61 - 1) for i in range(3000)],), "wrong_value"),
    ],
)
def test_the_rest_is_judged_here(test: str, values: tuple[object, ...], failure: str) -> None:
    assert judged(test, *values) == failure


def test_an_unneeded_answer_that_raised_does_no_harm() -> None:
    made = split("assert f(2) == 1 or g(2) == 2")
    outcome = made.verdicts([Answer("v", 1), Answer("exception", detail="boom")])[0]
    assert outcome is not None
    assert outcome.failure == "none"


def test_a_missing_answer_gives_no_outcome() -> None:
    assert split("assert f(2) == 1", "assert f(3) == 1").verdicts([Answer("v", 1)])[1] is None


def test_statements_run_in_the_child_and_make_names_the_programs() -> None:
    made = split("items = [3, 1]\nf(items)\nassert items == [1, 3]", setup="root = Node(1)\r\nroot.left = Node(2)")
    assert [step.kind for step in made.steps] == ["x", "x", "x", "e"]
    assert asked(made) == ["items"]


def test_a_function_that_hides_a_builtin_is_the_programs() -> None:
    made = plan("", ("assert sum(10, 15) == 6",), frozenset({"sum"}))
    assert asked(made) == ["sum(10, 15)"]


def test_no_task_of_mbpp_shows_its_expected_values(mbpp: list[Task]) -> None:
    for task in mbpp:
        tests = (*task.tests, *task.challenge_tests)
        made = plan(task.setup, tests, task.needed_names)
        assert len(asked(made)) == len(tests)
        for test, call in zip(tests, asked(made), strict=True):
            compare = ast.parse(test).body[0].test  # type: ignore[attr-defined]
            assert isinstance(compare, ast.Compare), "an equality, as in every task"
            # What was sent stands on the left of the comparison, and nothing of the right side went with it.
            assert call in ast.unparse(compare.left)
