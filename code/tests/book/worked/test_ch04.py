"""The shares of informative groups of chapter 4 against enumeration and simulation."""

import itertools

import numpy as np
import pytest

from codelab.book.worked import ch04


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_share_by_enumeration(rate: float) -> None:
    group = 4
    expected = sum(
        rate ** sum(outcome) * (1 - rate) ** (group - sum(outcome))
        for outcome in itertools.product((0, 1), repeat=group)
        if 0 < sum(outcome) < group
    )
    assert ch04.informative_share(rate, group) == pytest.approx(expected)


def test_share_by_hand() -> None:
    assert ch04.informative_share(0.5, 2) == pytest.approx(0.5)


def test_beta_share_against_numerical_integration() -> None:
    mean, concentration, group = 0.3, 5.0, 8
    a, b = mean * concentration, (1 - mean) * concentration
    p = (np.arange(200_000) + 0.5) / 200_000
    density = p ** (a - 1) * (1 - p) ** (b - 1)
    expected = float((density * (1 - p**group - (1 - p) ** group)).sum() / density.sum())
    assert ch04.informative_share_beta(mean, concentration, group) == pytest.approx(expected, rel=1e-4)


def test_beta_share_tends_to_the_share_of_one_rate() -> None:
    assert ch04.informative_share_beta(0.02, 1e9, 16) == pytest.approx(ch04.informative_share(0.02, 16), rel=1e-6)


def test_uneven_tasks_give_fewer_informative_groups() -> None:
    assert ch04.informative_share_beta(0.02, 1.0, 8) < ch04.informative_share(0.02, 8)


def test_completions_per_informative_group() -> None:
    assert ch04.completions_per_informative_group(0.5, 8) == 16
    assert ch04.completions_per_informative_group(0.0, 8) == float("inf")
