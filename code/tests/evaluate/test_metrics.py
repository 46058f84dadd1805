"""Scores and intervals: exact against enumeration, properties, and simulated coverage."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codelab.evaluate.metrics import (
    across_seeds,
    bootstrap,
    bootstrap_ratio,
    failure_table,
    pass_at_k,
    student_t_quantile,
    wilson,
)

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


def enumerated(n: int, c: int, k: int) -> float:
    outcomes = [True] * c + [False] * (n - c)
    subsets = list(combinations(outcomes, k))
    return sum(any(subset) for subset in subsets) / len(subsets)


@pytest.mark.parametrize("n", range(1, 9))
def test_pass_at_k_equals_the_enumeration_of_all_subsets(n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            assert pass_at_k(n, [c], k)[0] == pytest.approx(enumerated(n, c, k), abs=1e-12)


@given(counts)
def test_pass_at_k_equals_the_ratio_of_binomials(values):
    n, c, k = values
    exact = 1 - math.comb(n - c, k) / math.comb(n, k)
    assert pass_at_k(n, [c], k)[0] == pytest.approx(exact, abs=1e-12)


@given(counts)
def test_pass_at_k_bounds_and_monotone(values):
    n, c, k = values
    here = pass_at_k(n, [c], k)[0]
    assert 0 <= here <= 1
    assert pass_at_k(n, [c], 1)[0] == pytest.approx(c / n)
    if c < n:
        assert pass_at_k(n, [c + 1], k)[0] >= here
    if k < n:
        assert pass_at_k(n, [c], k + 1)[0] >= here - 1e-15
    assert (here == 0) == (c == 0)


def test_pass_at_k_of_many_completions_neither_overflows_nor_loses_digits():
    assert pass_at_k(100_000, [1], 100)[0] == pytest.approx(100 / 100_000, rel=1e-9)
    assert pass_at_k([20, 40], [1, 2], 10).tolist() == pytest.approx([0.5, 1 - 30 * 29 / (40 * 39)])


@pytest.mark.parametrize(("n", "c", "k"), [(5, 6, 1), (5, -1, 1), (5, 2, 6), (5, 2, 0)])
def test_pass_at_k_refuses_impossible_counts(n, c, k):
    with pytest.raises(ValueError, match="completions"):
        pass_at_k(n, [c], k)


def test_pass_at_k_is_unbiased():
    """The mean over binomial draws equals 1 - (1 - p)^k, computed exactly rather than simulated."""
    n, k, p = 12, 5, 0.15
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    mean = sum(w * value for w, value in zip(chance, pass_at_k(n, range(n + 1), k), strict=True))
    assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-12)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_bounds_and_symmetry(values):
    passed, n = values
    here, mirrored = wilson(passed, n), wilson(n - passed, n)
    assert 0 <= here.low <= here.value <= here.high <= 1
    assert here.low == pytest.approx(1 - mirrored.high, abs=1e-12)
    assert here.low < here.high
    if passed < n:
        assert wilson(passed + 1, n).low >= here.low


@pytest.mark.parametrize(("passed", "low", "high"), [(0, 0.0, 0.0076), (5, 0.0043, 0.0232), (50, 0.0767, 0.1294)])
def test_wilson_known_values_of_500_tasks(passed, low, high):
    here = wilson(passed, 500)
    assert (here.low, here.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_wilson_coverage_is_near_its_level():
    n, p = 200, 0.05
    chance = [math.comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)]
    covered = sum(w for c, w in enumerate(chance) if wilson(c, n).low <= p <= wilson(c, n).high)
    assert 0.93 < covered < 0.98


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_coverage_on_skewed_task_scores(method):
    """Scores like a weak model's: most tasks 0, a few high. 300 worlds, 500 resamples each."""
    generator = np.random.default_rng(7)
    truth = 0.1 * 0.5
    covered = 0
    for world in range(300):
        scores = generator.beta(2, 2, size=150) * (generator.random(150) < 0.1)
        interval = bootstrap(scores, seed=world, resamples=500, method=method)
        covered += interval.low <= truth <= interval.high
    assert 0.88 < covered / 300 < 0.99


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.sampled_from(["percentile", "bca"]))
def test_bootstrap_bounds_and_seed(scores, method):
    here = bootstrap(scores, seed=3, resamples=200, method=method)
    assert here == bootstrap(scores, seed=3, resamples=200, method=method)
    assert min(scores) - 1e-9 <= here.low <= here.high <= max(scores) + 1e-9
    assert here.value == pytest.approx(float(np.mean(scores)))


def test_bootstrap_is_the_same_however_it_is_blocked(monkeypatch):
    scores = np.random.default_rng(0).random(50)
    whole = bootstrap(scores, resamples=999)
    monkeypatch.setattr("codelab.evaluate.metrics._BLOCK", 170)
    assert bootstrap(scores, resamples=999) == whole


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=5, max_size=30))
def test_percentile_bootstrap_mirrors(scores):
    here = bootstrap(scores, seed=1, resamples=400, method="percentile")
    mirrored = bootstrap([1 - score for score in scores], seed=1, resamples=400, method="percentile")
    assert here.low == pytest.approx(1 - mirrored.high, abs=1e-9)


def test_bca_moves_towards_the_long_tail():
    scores = [0.0] * 95 + [1.0] * 5
    plain, corrected = bootstrap(scores, method="percentile"), bootstrap(scores, method="bca")
    assert corrected.low >= plain.low
    assert corrected.high > plain.high


def test_bootstrap_of_scores_that_differ_by_rounding_alone():
    estimate = bootstrap([1.0] * 15 + [math.nextafter(1, 2)] * 15)
    assert (estimate.low, estimate.high) == pytest.approx((1, 1))


def test_bootstrap_narrows_with_more_tasks():
    generator = np.random.default_rng(5)
    few, many = generator.random(50), generator.random(5000)
    assert bootstrap(many).high - bootstrap(many).low < (bootstrap(few).high - bootstrap(few).low) / 5


@pytest.mark.parametrize("values", [[], [float("nan")], [[0.1, 0.2]]])
def test_bootstrap_refuses_what_it_cannot_resample(values):
    with pytest.raises(ValueError, match="finite score"):
        bootstrap(values)


@pytest.mark.parametrize(
    ("share", "freedom", "expected"),
    [(0.975, 1, 12.7062), (0.975, 2, 4.30265), (0.975, 3, 3.18245), (0.975, 10, 2.22814), (0.95, 30, 1.69726)],
)
def test_student_t_quantile_matches_printed_tables(share, freedom, expected):
    assert student_t_quantile(share, freedom) == pytest.approx(expected, rel=1e-5)
    assert student_t_quantile(1 - share, freedom) == pytest.approx(-expected, rel=1e-5)


def test_across_seeds_uses_the_spread_between_seeds():
    here = across_seeds([0.1, 0.2, 0.3])
    assert here.value == pytest.approx(0.2)
    assert here.high - here.value == pytest.approx(4.30265 * 0.1 / math.sqrt(3), rel=1e-5)
    with pytest.raises(ValueError, match="two seeds"):
        across_seeds([0.1])


def test_failure_table_counts_and_shares_by_group():
    samples = [
        {"setting": "greedy", "failure": "none"},
        {"setting": "greedy", "failure": "syntax"},
        {"setting": "greedy", "failure": "syntax"},
        {"setting": "t0.8", "failure": "timeout"},
    ]
    rows = failure_table(samples, by=lambda sample: sample["setting"])
    assert rows[0] == {"group": "greedy", "failure": "syntax", "count": 2, "share": 2 / 3}
    assert [row["group"] for row in rows] == ["greedy", "greedy", "t0.8"]
    assert sum(row["share"] for row in rows if row["group"] == "greedy") == pytest.approx(1)


def test_a_ratio_of_sums_and_its_interval() -> None:
    found = bootstrap_ratio([1, 0, 2, 0], [2, 2, 2, 2])
    assert found.value == pytest.approx(3 / 8)
    assert 0 <= found.low < found.value < found.high <= 1
    same = bootstrap([0.5, 0, 1, 0], method="percentile")
    assert (found.low, found.high) == pytest.approx((same.low, same.high))  # equal wholes: the mean of the parts
    assert bootstrap_ratio([0, 3], [0, 4]).value == pytest.approx(3 / 4)
    with pytest.raises(ValueError, match="above 0"):
        bootstrap_ratio([1], [0])
