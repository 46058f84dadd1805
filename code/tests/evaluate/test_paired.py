"""Paired comparisons of two runs on the same tasks."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codelab.errors import UserError
from codelab.evaluate.paired import match, mcnemar, paired_difference

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def enumerated_p(only_first: int, only_second: int) -> float:
    """Share of all coin sequences whose split is at least as lopsided as the observed one."""
    discordant = only_first + only_second
    observed = abs(only_first - only_second)
    flips = list(product((0, 1), repeat=discordant))
    return sum(abs(2 * sum(flip) - discordant) >= observed for flip in flips) / len(flips)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (0, 1), (3, 3), (2, 5), (0, 8), (9, 1)])
def test_mcnemar_equals_the_enumeration_of_coin_flips(only_first, only_second):
    first = [True] * only_first + [False] * only_second + [True, False]
    second = [False] * only_first + [True] * only_second + [True, False]
    here = mcnemar(first, second)
    assert (here.only_first, here.only_second) == (only_first, only_second)
    assert here.p_value == pytest.approx(enumerated_p(only_first, only_second))


@given(pairs)
def test_mcnemar_is_symmetric_and_bounded(outcomes):
    first, second = zip(*outcomes, strict=True)
    here, swapped = mcnemar(first, second), mcnemar(second, first)
    assert here.p_value == swapped.p_value
    assert 0 < here.p_value <= 1
    assert mcnemar(first, first).p_value == 1


def test_mcnemar_of_many_tasks_is_finite_and_tiny():
    assert 0 < mcnemar([False] * 3000, [True] * 1000 + [False] * 2000).p_value < 1e-250


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30))
def test_paired_difference_turns_sign_when_swapped(scores):
    first, second = (np.array(column) for column in zip(*scores, strict=True))
    here = paired_difference(first, second, resamples=300, method="percentile")
    swapped = paired_difference(second, first, resamples=300, method="percentile")
    assert here.value == pytest.approx(-swapped.value)
    assert here.low == pytest.approx(-swapped.high, abs=1e-9)
    same = paired_difference(first, first, resamples=300)
    assert (same.low, same.high) == (0, 0)
    assert not same.excludes_zero()


def test_pairing_sees_a_small_gain_that_unpaired_intervals_hide():
    generator = np.random.default_rng(3)
    difficulty = generator.beta(0.3, 0.6, size=500)
    gain = np.clip(difficulty + 0.02, 0, 1)
    here = paired_difference(difficulty, gain)
    assert here.excludes_zero()
    assert here.high - here.low < 0.01


def test_shapes_and_tasks_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        paired_difference([1, 0], [1])
    with pytest.raises(ValueError, match="one shape"):
        mcnemar([True, False], [True])
    with pytest.raises(UserError, match="1 only in the first, 2 only in the second"):
        match({1: 0.0, 2: 1.0}, {2: 1.0, 3: 0.0, 4: 0.0})
    first, second = match({2: 0.5, 1: 1.0}, {1: 0.0, 2: 0.25})
    assert (first.tolist(), second.tolist()) == ([1.0, 0.5], [0.0, 0.25])
