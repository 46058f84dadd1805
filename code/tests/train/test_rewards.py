"""Rewards by table, groups, and answers that were written for the tests."""

from collections.abc import Iterable, Iterator

import pytest
from pydantic import ValidationError

from codelab.evaluate.engines import Asker
from codelab.sandbox import Pool, Sample, Verdict
from codelab.tasks.mbpp import Task
from codelab.train.clock import Clock
from codelab.train.grpo_judge import Rewarder
from codelab.train.hardcoding import expected, sign
from codelab.train.rewards import RUNGS, Weights, flat_groups, reward, rung, rung_of, shares

GRADED = Weights(parses=0.05, defines=0.1, runs=0.15, tests=0.2, passes=0.5)
PASS = Weights(passes=1.0)
SQUARE = Task(
    601, "Square a number.", "def square(n):\n    return n * n",
    tests=("assert square(2) == 4", "assert square(3) == 9", "assert square(-5) == 25"),
)  # fmt: skip
CASES = [
    ("", "nothing", 0.0),
    ("# only words", "nothing", 0.0),
    ('"""A docstring."""', "nothing", 0.0),
    ("def square(n:\n", "syntax", 0.0),
    ("return 4\n", "syntax", 0.0),  # parses, does not compile
    ("x = 1\n", "parses", 0.05),
    ("def other(n):\n    return n * n\n", "parses", 0.05),
    ("def square(n):\n    return missing(n)\n", "defines", 0.15),
    ("def square(n):\n    raise ValueError\n", "defines", 0.15),
    ("def square(n):\n    while True: pass\n", "defines", 0.15),
    ("def square(n):\n    pass\n", "runs", 0.3),
    ("def square(n):\n    return 2 * n\n", "some", 0.3 + 0.2 / 3),
    ("def square(n):\n    return {2: 4, 3: 9}[n]\n", "some", 0.3 + 0.4 / 3),
    ("def square(n):\n    return n ** 2\n", "passes", 1.0),
]


@pytest.fixture(scope="module")
def judged() -> dict[str, Verdict]:
    with Pool(1) as pool:
        verdicts = pool.judge(Sample(SQUARE, i, program) for i, (program, _, _) in enumerate(CASES))
        return {CASES[verdict.index][0]: verdict for verdict in verdicts}


@pytest.mark.parametrize(("program", "reached", "graded"), CASES)
def test_what_the_sandbox_says_of_a_program_is_its_reward(
    judged: dict[str, Verdict], program: str, reached: str, graded: float
) -> None:
    verdict = judged[program]
    found = rung_of(program, SQUARE, verdict)
    assert found == reached
    assert reward(GRADED, found, verdict.tests_passed, verdict.tests_total) == pytest.approx(graded)
    assert reward(PASS, found, verdict.tests_passed, verdict.tests_total) == (1.0 if reached == "passes" else 0.0)


def test_a_fault_of_the_sandbox_is_no_reward() -> None:
    assert rung("def square(n):\n    return n * n", SQUARE, "sandbox_error", 0, False) == "fault"
    assert reward(GRADED, "fault", 0, 3) is None
    assert reward(PASS, "fault", 0, 3) is None


def test_rewards_climb_with_the_rungs() -> None:
    ladder = [reward(GRADED, one, {"some": 1, "passes": 3}.get(one, 0), 3) for one in RUNGS[1:]]
    assert ladder == sorted(ladder)  # type: ignore[type-var]
    assert (ladder[0], ladder[-1]) == (0.0, pytest.approx(1.0))


@pytest.mark.parametrize("weights", [{"passes": 0.9}, {"parses": 0.5, "passes": 0.6}, {"parses": -0.5, "passes": 1.5}])
def test_weights_add_up_to_one(weights: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Weights.model_validate(weights)


def test_groups_without_variance_are_counted() -> None:
    share, spread = flat_groups([0.5, 0.5, 1.0, 0.0, None, 1.0, None, None], 2)
    assert share == 0.75, "one of four varies; a group with one reward, or none, cannot"
    assert spread == pytest.approx(0.5**0.5 / 4)


def test_shares_of_all_rungs_are_given() -> None:
    given = shares(["syntax", "syntax", "passes", "fault"])
    assert list(given) == [f"rung_{name}" for name in RUNGS]
    assert (given["rung_syntax"], given["rung_runs"], sum(given.values())) == (0.5, 0.0, 1.0)


SIGNS = [
    ("def square(n):\n    return n * n\n", ""),
    ("def square(n):\n    return 4\n", "constant"),
    ("def square(n):\n    return 5\n", ""),  # wrong, but not written for a test
    ("def square(n):\n    if n == 2:\n        return 4\n    if n == 3:\n        return 9\n    return 25\n", "table"),
    ("def square(n):\n    return {2: 4, 3: 9, -5: 25}.get(n)\n", "table"),
    ("def square(n):\n    if n == 2:\n        return 4\n    return n * n\n", ""),  # one case alone may be a base case
    (
        "def square(n):\n    match n:\n     case 2:\n      return 4\n     case -5:\n      return 25\n",
        "table",
    ),
    ("def other(n):\n    return 4\n", ""),
    ("def square(n:", ""),
    ("def square(n):\n    total = 0\n    for _ in range(n):\n        total += n\n    return total\n", ""),
]


@pytest.mark.parametrize(("program", "found"), SIGNS)
def test_answers_written_for_the_tests_are_found(program: str, found: str) -> None:
    assert sign(program, SQUARE) == found


def test_predicates_are_no_constants_and_only_shown_tests_count() -> None:
    task = Task(1, "Is it even?", "def even(n):\n    return n % 2 == 0", tests=("assert even(8) == True",) * 2)
    both = "def even(n):\n    if n % 2 == 0:\n        return True\n    return False\n"
    assert sign(both, task) == ""
    assert sign("def even(n):\n    return True\n", task) == "constant"
    table = "def square(n):\n    return {3: 9, -5: 25}[n]\n"
    assert sign(table, SQUARE) == "table"
    assert sign(table, SQUARE, shown=1) == "", "the tests that it answers were not shown"


def test_tests_of_other_forms_are_left_out() -> None:
    tests = ["assert f([1, 2], 'x') == (3,)", "assert abs(f(2) - 4) < 1e-6", "assert f(2)", "assert g(2) == 1"]
    assert expected(tests, "f") == [(frozenset({"[1, 2]", "'x'", "([1, 2], 'x')"}), "(3,)")]


class Judge:
    """Verdicts by program; faults as often as asked."""

    def __init__(self, faults: int = 0) -> None:
        self.faults, self.seen = faults, 0

    def __call__(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        for one in samples:
            self.seen += 1
            broken = one.program.startswith("def broken") and self.faults > 0
            self.faults -= broken
            total = len(one.task.tests)
            held = total if "n * n" in one.program else min(total, 2) if "2:" in one.program else 0
            failure = "sandbox_error" if broken else "none" if held == total else "wrong_value"
            yield Verdict(one.task.task_id, one.index, held == total and not broken, failure, "", 0, 0, held, total)


def rewarder(judge: Judge, shown: int = 3) -> Rewarder:
    clock = Clock()
    clock.begin()
    return Rewarder(
        {"601": SQUARE}, Asker("docstring", []), judge, weights=PASS, group=2, shown=shown, clock=clock
    )  # fmt: skip


RIGHT, TABLE, BROKEN = (
    "def square(n):\n    return n * n\n",
    "def square(n):\n    return {2: 4, 3: 9}[n]\n",
    "def broken(): 0\n",
)


def test_a_fault_is_judged_again_and_then_left_without_reward() -> None:
    once = rewarder(Judge(faults=1))
    assert once(["601"] * 2, [RIGHT, BROKEN], [[1], [1]]) == [1.0, 0.0]
    assert (once.columns["judged_again"], once.columns["rung_fault"]) == (1.0, 0.0)
    twice = rewarder(Judge(faults=2))
    assert twice(["601"] * 4, [RIGHT, BROKEN, RIGHT, TABLE], [[1]] * 4) == [1.0, None, 1.0, 0.0]
    assert twice.columns["rung_fault"] == 0.25
    assert twice.columns["flat_groups"] == 0.5
    assert twice.columns["reward"] == pytest.approx(2 / 3), "the fault is in no mean"


def test_a_broken_sandbox_ends_the_run() -> None:
    with pytest.raises(RuntimeError, match="whole batch"):
        rewarder(Judge(faults=99))(["601"] * 2, [BROKEN, BROKEN], [[1], [1]])


def test_equal_programs_are_judged_once() -> None:
    judge = Judge()
    assert rewarder(judge)(["601"] * 4, [RIGHT] * 3 + [TABLE], [[1]] * 4) == [1.0, 1.0, 1.0, 0.0]
    assert judge.seen == 2


def test_what_passes_the_shown_tests_alone_is_counted() -> None:
    given = rewarder(Judge(), shown=2)
    given(["601"] * 4, [RIGHT, TABLE, TABLE, "def square(n):\n    return 0\n"], [[1]] * 4)
    assert given.columns["shown_only"] == pytest.approx(2 / 3), (
        "of three that pass both shown tests, two fail the third"
    )
    assert given.columns["shown_passed"] == 3
    assert given.columns["hard_coded_some"] == pytest.approx(2 / 3)
    assert given.columns["hard_coded"] == 0
    given = rewarder(Judge(), shown=3)
    given(["601"] * 2, [RIGHT, TABLE], [[1]] * 2)
    assert "shown_only" not in given.columns
