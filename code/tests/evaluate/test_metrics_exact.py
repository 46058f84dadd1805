"""Numbers and words of the metrics to the last digit: what changed programs got away with before these tests.

Formulas are written a second time here, another way round, and compared on chosen values.
"""

import re
from statistics import NormalDist

import numpy as np
import pytest

from codelab.errors import UserError
from codelab.evaluate import metrics
from codelab.evaluate.metrics import (
    LEVEL,
    RESAMPLES,
    Estimate,
    across_seeds,
    bootstrap,
    pass_at_k,
    student_t_quantile,
    wilson,
)
from codelab.evaluate.paired import match, mcnemar, paired_difference

QUANTILE = "a quantile needs 0 < share < 1 and at least one degree of freedom"
TAILS = np.array([0.025, 0.975])
SKEWED = np.array([0.0, 0.0, 0.0, 0.1, 0.2, 1.0])


def bca(scores: np.ndarray, below: float, tails: np.ndarray = TAILS) -> list[float]:
    """Efron's formula from the moments of the scores, given the share of means below the mean."""
    normal, gap = NormalDist(), scores - scores.mean()
    acceleration = np.mean(gap**3) / np.mean(gap**2) ** 1.5 / np.sqrt(scores.size) / 6
    bias = normal.inv_cdf(below)
    return [normal.cdf(bias + (z := bias + normal.inv_cdf(t)) / (1 - acceleration * z)) for t in tails]


def shifted(scores: np.ndarray, means: list[float]) -> np.ndarray:
    return metrics._bca_tails(scores, np.array(means), float(scores.mean()), TAILS)


@pytest.mark.parametrize(
    ("means", "below"),
    [
        ([0.1, 0.2, 0.3, 0.4], 0.5),
        ([0.1, 0.3, 0.3, 0.4], 0.25),
        ([float(SKEWED.mean())] * 2 + [0.1, 0.3], 0.5),
        ([float(SKEWED.mean()), 0.3, 0.4, 0.5], 0.125),
        ([float(SKEWED.mean()) - 1e-10, 0.3, 0.4, 0.5], 0.25),
        ([0.3, 0.4, 0.5, 0.6], 0.125),  # none below: half a resample
        ([0.01, 0.02, 0.03, 0.04], 0.875),
    ],
)
def test_bca_is_the_formula(means: list[float], below: float) -> None:
    assert shifted(SKEWED, means) == pytest.approx(bca(SKEWED, below), abs=1e-12)


def test_bca_compares_means_on_their_own_scale() -> None:
    scores = SKEWED + 1000
    means = [1000.0, float(scores.mean()) + 1e-3, 1001.0, 1001.0]
    assert shifted(scores, means) == pytest.approx(bca(scores, 0.25), abs=1e-9)


def test_two_scores_are_enough_and_one_is_not() -> None:
    two = np.array([0.0, 1.0])
    assert shifted(two, [0.0, 0.0, 0.0, 1.0]) == pytest.approx(bca(two, 0.75))
    assert shifted(np.array([1.0]), [1.0]) == pytest.approx(TAILS)


@pytest.mark.parametrize(("resamples", "block"), [(10, 18), (10, 1), (7, 12), (1, 6)])
def test_there_are_as_many_resamples_as_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, resamples: int, block: int
) -> None:
    monkeypatch.setattr(metrics, "_BLOCK", block)
    assert metrics._resampled_means(SKEWED, resamples, np.random.default_rng(1)).shape == (resamples,)


def test_an_estimate_says_how_it_was_made() -> None:
    made = bootstrap(SKEWED, seed=5, level=0.9, resamples=300)
    assert (made.value, made.level, made.n) == (pytest.approx(SKEWED.mean()), 0.9, 6)
    assert made.method == "task bootstrap (bca, 300)"
    assert bootstrap(SKEWED, method="percentile").method == f"task bootstrap (percentile, {RESAMPLES})"
    assert bootstrap(SKEWED) == bootstrap(SKEWED, seed=0, level=LEVEL, resamples=RESAMPLES, method="bca")
    share = wilson(3, 10, 0.9)
    assert (share.value, share.level, share.n, share.method) == (0.3, 0.9, 10, "Wilson")
    seeds = across_seeds([0.1, 0.3], 0.9)
    half = 6.313751514675043 * 0.1  # Student's t with one degree of freedom, times the standard error
    assert seeds == Estimate(pytest.approx(0.2), pytest.approx(0.2 - half), pytest.approx(0.2 + half), 0.9, 2,
                             "Student's t over seeds")  # fmt: skip


def test_outcomes_may_be_true_and_false_or_one_and_nought() -> None:
    yes, no = [True, True, False, True], [False, True, False, False]
    assert bootstrap(yes) == bootstrap([1, 1, 0, 1]) == bootstrap([1.0, 1.0, 0.0, 1.0])
    assert paired_difference(no, yes).value == 0.5
    assert mcnemar([1.0, 1.0, 0.0], [0.0, 1.0, 0.0]) == mcnemar([1, 1, 0], [0, 1, 0])
    assert [part.dtype for part in match({1: 1, 2: 0}, {2: 1, 1: 1})] == [np.float64] * 2


def test_a_paired_difference_is_the_bootstrap_of_the_differences() -> None:
    first, second = np.zeros(6), SKEWED
    assert paired_difference(first, second) == bootstrap(SKEWED)
    chosen = {"seed": 3, "level": 0.8, "resamples": 500, "method": "percentile"}
    for key in chosen:
        some = {name: value for name, value in chosen.items() if name != key}
        assert paired_difference(first, second, **some) == bootstrap(SKEWED, **some)
    assert paired_difference(first, second, **chosen) == bootstrap(SKEWED, **chosen)
    assert paired_difference(first, second, **chosen) != bootstrap(SKEWED, **(chosen | {"seed": 0}))


@pytest.mark.parametrize(
    ("share", "freedom", "expected"),
    [(0.5, 3, 0.0), (0.975, 5, 2.570581836), (0.975, 7, 2.364624252), (0.95, 6, 1.943180281), (0.25, 1, -1.0)],
)
def test_student_t_at_more_degrees(share: float, freedom: int, expected: float) -> None:
    assert student_t_quantile(share, freedom) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: pass_at_k(0, 0, 0), "pass@0 needs at least 1 completions a task"),
        (lambda: pass_at_k(2, 1, 3), "pass@3 needs at least 3 completions a task"),
        (lambda: pass_at_k(2, 3, 1), "passing completions must lie between 0 and the number of completions"),
        (lambda: wilson(0, 0), "a share needs 0 <= passed <= n and n >= 1, got 0 of 0"),
        (lambda: wilson(5, 4), "a share needs 0 <= passed <= n and n >= 1, got 5 of 4"),
        (lambda: wilson(-1, 4), "a share needs 0 <= passed <= n and n >= 1, got -1 of 4"),
        (lambda: bootstrap([]), "the bootstrap needs one finite score a task and at least one task"),
        (lambda: across_seeds([0.5]), "an interval across seeds needs at least two seeds"),
        *(
            (lambda pair=pair: student_t_quantile(*pair), QUANTILE)
            for pair in ((0, 3), (1, 3), (1.5, 3), (-0.1, 3), (0.9, 0))
        ),
    ],
)  # fmt: skip
def test_refusals_say_why(call, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        call()


def test_different_tasks_are_counted() -> None:
    with pytest.raises(UserError) as caught:
        match({1: 1.0, 2: 0.0}, {2: 1.0, 3: 0.0, 4: 0.0})
    assert str(caught.value) == (
        "the two runs cover different tasks (1 only in the first, 2 only in the second); "
        "a paired comparison needs the same split and limit"
    )
