"""Chapter 1's costs against numbers counted by hand."""

import pytest

from codelab.book.worked import ch01


def test_operations_are_six_a_parameter_and_token() -> None:
    one = ch01.cost(parameters=1e9, tokens=1e9, sustained=6e15)
    assert one.operations == pytest.approx(6e18)
    assert one.hours == pytest.approx(1000 / 3600)


def test_the_two_regimes_of_the_chapter() -> None:
    long, short = ch01.continued_pretraining(), ch01.fine_tuning()
    assert long.operations == pytest.approx(8.086e20, rel=1e-3), "6 x 6.738e9 x 20e9"
    assert long.hours == pytest.approx(561.5, rel=1e-3)
    assert short.tokens == pytest.approx(583.76e6)
    assert long.hours / short.hours == pytest.approx(34.26, rel=1e-3)
    assert ch01.fine_tuning(epochs=1).hours == pytest.approx(short.hours / 8)


def test_replay_takes_its_share_of_a_fixed_budget() -> None:
    assert ch01.new_tokens(20e9, 0.05) == pytest.approx(19e9)
    assert ch01.new_tokens(20e9, 0.25) == pytest.approx(15e9)


def test_refuses_impossible_values() -> None:
    with pytest.raises(ValueError, match="positive"):
        ch01.cost(0, 1)
    with pytest.raises(ValueError, match="share"):
        ch01.new_tokens(1, 1.5)
