"""Answers handed back: what a program says to calls, what ends it early, and what hangs on the hash seed."""

from collections.abc import Iterator

import pytest

from codelab.sandbox import Limits, Observer, Probe

LIMITS = Limits(cpu_seconds=0.3, wall_seconds=30)


@pytest.fixture(scope="module")
def observer() -> Iterator[Observer]:
    with Observer(1, LIMITS, retry="none") as started:
        yield started


def test_calls_are_answered_in_order_by_values_and_by_exceptions(observer: Observer) -> None:
    program = "def f(x):\n    return {x: [1, (x,)]} if x else 1 / x\n"
    (seen,) = observer.observe([Probe(7, program, ("f(2)", "f(0)", "f('a')", "f", "g(1)"))])
    assert (seen.key, seen.failure) == (7, "none")
    assert [answer.kind for answer in seen.answers] == ["v", "exception", "v", "x", "missing_name"]
    assert seen.answers[0].value == {2: [1, (2,)]}
    assert seen.answers[1].detail == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("program", "failure", "answered"),
    [
        ("def f(x):\n    while x == 2: pass\n    return x\n", "timeout", 1),
        ("import os\ndef f(x):\n    return x if x < 2 else os._exit(0)\n", "killed", 1),
        ("def f(x):\n    return 'a' * 2_000_000 if x == 2 else x\n", "killed", 1),
        ("def f(x) return x", "syntax", 0),
        ("f = 1 / 0", "exception", 0),
    ],
)
def test_what_ended_early_keeps_the_answers_before(
    observer: Observer, program: str, failure: str, answered: int
) -> None:
    (seen,) = observer.observe([Probe(1, program, ("f(1)", "f(2)", "f(3)"))])
    assert (seen.failure, len(seen.answers)) == (failure, answered)


def test_one_observation_a_probe_of_a_fresh_process(observer: Observer) -> None:
    program = "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)\n"
    found = {one.key: one for one in observer.observe(Probe(key, program, ("f(0)", "f(0)")) for key in range(20))}
    assert set(found) == set(range(20))
    assert all([answer.value for answer in one.answers] == [1, 2] for one in found.values())


def test_files_are_out_of_reach(observer: Observer) -> None:
    (seen,) = observer.observe([Probe(1, "def f(name):\n    return open(name).read()\n", ("f('/etc/passwd')",))])
    assert seen.answers[0].kind == "exception"


def test_the_hash_seed_is_the_callers() -> None:
    program = "def f():\n    return list({'one', 'two', 'three', 'four', 'five', 'six', 'seven'})\n"
    orders = []
    for seed in (0, 0, 1):
        with Observer(1, LIMITS, hash_seed=seed) as observer:
            (seen,) = observer.observe([Probe(1, program, ("f()",))])
        orders.append(seen.answers[0].value)
    assert orders[0] == orders[1] != orders[2]
