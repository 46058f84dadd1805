"""The plots of preference training draw what the frames say: every arm, every seed, zero where zero is."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from codelab.book import shifts
from codelab.book.style import MUTED, styled


@pytest.fixture(autouse=True)
def look() -> Iterator[None]:
    with styled():
        yield
        plt.close("all")


def ratios(*names: str, seeds: int = 1) -> pd.DataFrame:
    return pd.DataFrame([
        {"name": name, "seed": seed, "step": step, "chosen": -float(step), "rejected": -3.0 * step,
         "margin": 2.0 * step, "accuracy": 50.0 + step}
        for name in names for seed in range(seeds) for step in (1, 2, 50)
    ])  # fmt: skip


def looks(*names: str, seeds: int = 1) -> pd.DataFrame:
    return pd.DataFrame([
        {"name": name, "seed": seed, "step": step, "kl": 0.4 * step, "kl_low": 0.3 * step, "kl_high": 0.5 * step,
         "percent": 4.0 + seed}
        for name in names for seed in range(seeds) for step in (0, 50)
    ])  # fmt: skip


def test_training_has_four_panels_with_every_seed_and_the_mean() -> None:
    figure = shifts.training(ratios("a", seeds=3), looks("a", seeds=3))
    upper, margin, accuracy, divergence = figure.axes
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["chosen", "rejected"]  # type: ignore[union-attr]
    assert [len(axes.lines) for axes in (upper, margin, accuracy, divergence)] == [9, 4, 5, 4]
    assert margin.lines[-1].get_ydata()[-1] == 100  # type: ignore[index]
    assert {axes.get_ylabel() for axes in figure.axes} == {"nats a completion", "% of pairs"}


def test_training_draws_another_arm_in_grey_and_leaves_it_out_of_the_legend() -> None:
    figure = shifts.training(ratios("a"), looks("a"), (ratios("b").assign(margin=7.0), looks("b")))
    upper, margin, _, divergence = figure.axes
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["chosen", "rejected"]  # type: ignore[union-attr]
    assert [line.get_color() == MUTED for line in margin.lines] == [True, False]
    assert list(margin.lines[0].get_ydata()) == [7.0, 7.0, 7.0]  # type: ignore[arg-type]
    assert len(divergence.collections) == 2, "a band of errors each"


def test_drift_names_every_arm_once_and_counts_passes_from_zero() -> None:
    figure = shifts.drift(looks("a", "b", seeds=2))
    left, right = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert right.get_ylim()[0] == 0
    assert len({line.get_linestyle() for line in left.lines}) == 2, "arms differ in grey too"
    assert len(left.collections) == 4, "a band of errors a unit"


def test_drift_sets_long_names_in_fewer_columns() -> None:
    for names, columns in ((("a", "b", "c"), 3), (("a, with a likelihood term", "b", "c"), 2)):
        figure = shifts.drift(looks(*names))
        assert figure.legends[0]._ncols == columns  # type: ignore[attr-defined]


def test_courses_have_four_panels_and_set_other_trainings_apart() -> None:
    frame = ratios("a", "b", "c")
    figure = shifts.courses(frame, looks("a", "b", "c"), other=["c"])
    chosen, rejected, divergence, passes = figure.axes
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b", "c"]
    colours = [line.get_color() for line in divergence.lines]
    assert len(set(colours)) == 3
    assert colours[2] == MUTED
    assert [line.get_linestyle() for line in passes.lines] == ["-", "-", "--"]
    assert chosen.get_ylim() == rejected.get_ylim()
    assert chosen.get_ylim()[0] < frame["rejected"].min(), "nothing is cut off"
    assert chosen.lines[0].get_ydata()[-1] == -50  # type: ignore[index]
    assert rejected.lines[0].get_ydata()[-1] == -150  # type: ignore[index]
    assert divergence.get_yscale() == "symlog"
    assert divergence.get_ylim()[0] == passes.get_ylim()[0] == 0
    assert len(divergence.collections) == 3, "a band of errors a unit"
