"""Chapter 6's two-parameter problem: closed forms, equivalences that the chapter states, and numbers by hand."""

import numpy as np
import pytest

from codelab.book.worked import ch06


def strategy(name: str) -> ch06.Strategy:
    return {each.name: each for each in ch06.STRATEGIES}[name]


def test_start_and_end_of_each_path() -> None:
    for each in ch06.STRATEGIES:
        start = each.path(each.start)
        assert ch06.gain(start) == pytest.approx(0, abs=1e-9), each.name
        assert ch06.forgetting(start) == pytest.approx(0, abs=1e-9), each.name
    for name in ("early stopping", "interpolation of weights", "L2 to the start", "EWC (diagonal Fisher)", "replay"):
        each = strategy(name)
        assert each.path(each.end) == pytest.approx(ch06.TARGET, abs=1e-6), "the far end is plain fine-tuning"


def test_replay_is_the_front_of_all_strategies() -> None:
    for wanted in (0.3, 0.5, 0.8, 0.9):
        found = ch06.at_gain(wanted)
        best = found.pop("replay")
        assert best is not None
        for name, value in found.items():
            assert value is None or value > best, f"{name} at gain {wanted}"


def test_ewc_with_the_whole_fisher_matrix_is_replay() -> None:
    for share in (0.1, 0.5, 0.9):
        assert ch06.pulled(ch06.OLD, share / (1 - share)) == pytest.approx(ch06.replay(share))


def test_a_kl_term_on_the_new_data_is_interpolation() -> None:
    for strength in (0.1, 1.0, 9.0):
        assert ch06.pulled(ch06.NEW, strength) == pytest.approx(ch06.interpolation(1 / (1 + strength)))


def test_descent_solves_its_equation() -> None:
    step = 1e-5
    for time in (0.0, 1.0, 3.0):
        slope = (ch06.descent(time + step) - ch06.descent(time)) / step
        assert slope == pytest.approx(-ch06.NEW @ (ch06.descent(time) - ch06.TARGET), abs=1e-4)


def test_low_rank_end_is_the_best_point_on_its_line() -> None:
    best = ch06.new_loss(ch06.low_rank(1.0))
    assert best < min(ch06.new_loss(ch06.low_rank(0.99)), ch06.new_loss(ch06.low_rank(1.01)))
    assert strategy("one fixed direction (low rank)").at_gain(0.999) is None, "one direction cannot reach it all"


def test_at_gain_finds_the_point() -> None:
    half = strategy("interpolation of weights").at_gain(0.75)
    # (1 - w)^2 = 1/4 at w = 1/2, and forgetting is quadratic in w
    assert half == pytest.approx(ch06.forgetting(ch06.TARGET) / 4)


def test_points_rise_along_the_knob() -> None:
    for each in ch06.STRATEGIES:
        points = each.points(40)
        assert points.shape == (40, 2)
        assert np.all(np.diff(points[:, 0]) > -1e-9), each.name


def test_drawn_points_lie_close_enough_for_straight_pieces() -> None:
    for each in ch06.STRATEGIES:
        assert np.diff(each.points(400)[:, 0]).max() < 0.05, each.name


def test_what_the_alternative_text_of_the_plane_says() -> None:
    for wanted in np.linspace(0.02, 0.98, 25):
        found = {name: value for name, value in ch06.at_gain(float(wanted)).items() if value is not None}
        assert min(found, key=lambda name: found[name]) == "replay"
        assert max(found, key=lambda name: found[name]) == "interpolation of weights"
        if wanted < 0.9:
            assert sorted(found, key=lambda name: found[name])[1] == "EWC (diagonal Fisher)"


def test_recovered_share_of_published_forgetting() -> None:
    assert ch06.recovered(ch06.REPLAY_WEAK, 0.05) == pytest.approx(0.21 / 0.27)
    assert ch06.recovered(ch06.REPLAY_STRONG, 0.25) == pytest.approx(1.23 / 1.39)
    assert ch06.recovered(ch06.REPLAY_WEAK, 0.0) == 0
