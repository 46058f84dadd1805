"""Scores out of samples."""

import pytest

from codelab.evaluate.report import counts, score, setting_name, task_scores


def rows(passed: dict[int, list[bool]]):
    return [{"task_id": task, "index": i, "passed": one} for task, all_ in passed.items() for i, one in enumerate(all_)]


def test_counts_and_scores_by_task():
    samples = rows({3: [True, False, False], 1: [False] * 3, 2: [True] * 3})
    tasks, total, passed = counts(samples)
    assert (tasks, total.tolist(), passed.tolist()) == ([1, 2, 3], [3, 3, 3], [0, 3, 1])
    assert task_scores(samples, 2) == {1: 0, 2: 1, 3: pytest.approx(2 / 3)}
    assert score(samples, 1).value == pytest.approx(4 / 9)
    assert "bootstrap" in score(samples, 1).method


def test_one_completion_a_task_is_a_share():
    assert score(rows({1: [True], 2: [False]}), 1).method == "Wilson"


@pytest.mark.parametrize("outcome", [False, True])
def test_all_or_nothing_is_not_certainty(outcome):
    estimate = score(rows({task: [outcome] * 5 for task in range(20)}), 5)
    assert estimate.value == float(outcome)
    assert 0.1 < estimate.high - estimate.low < 0.2
    assert "solved" in estimate.method


def test_setting_names():
    assert [setting_name(value) for value in (0, 0.6, 1.0)] == ["greedy", "t0.6", "t1"]
