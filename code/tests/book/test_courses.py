"""Courses of training: every arm and seed is drawn, and parts can be told apart without colour."""

import matplotlib.pyplot as plt
import pandas as pd

from codelab.book import courses
from codelab.book.style import styled


def test_arms_have_their_own_lines_and_seeds_are_thin() -> None:
    frame = pd.DataFrame([
        {"name": name, "seed": seed, "step": number, "a": float(number + seed), "b": 2.0}
        for name, seeds in (("one", (0, 1)), ("two", (0,))) for seed in seeds for number in (1, 2)
    ])  # fmt: skip
    with styled():
        figure = courses.panels(frame, [("a", "A", "units"), ("b", "B", "%")])
        left, right, spare = figure.axes
        assert [axes.get_title(loc="left") for axes in (left, right)] == ["a  A", "b  B"]
        assert not spare.get_visible()
        assert len(left.lines) == 4, "two seeds, and two means"
        bold = [line for line in left.lines if line.get_linewidth() > 1]
        assert list(bold[0].get_ydata()) == [1.5, 2.5]
        assert len({line.get_linestyle() for line in bold}) == 2
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
        plt.close("all")


def test_rows_without_a_value_do_not_break_a_line() -> None:
    rows = [{"name": "one", "seed": 0, "step": at, "a": 1.0, "b": 3.0 if at != 1 else float("nan")} for at in (0, 1, 2)]
    with styled():
        left, right, _ = courses.panels(pd.DataFrame(rows), [("a", "A", "units"), ("b", "B", "%")]).axes
        assert list(left.lines[0].get_xdata()) == [0, 1, 2]
        assert list(right.lines[0].get_xdata()) == [0, 2]
        plt.close("all")


def test_ladders_share_rungs_and_leave_out_what_hardly_occurs() -> None:
    def ladder(passes: float) -> pd.DataFrame:
        parts = {"passes": passes, "wrong values": 99.5 - passes, "empty": 0.5}
        return pd.DataFrame([{"step": at, "rung": name, "percent": v} for at in (1, 2) for name, v in parts.items()])

    with styled():
        figure = courses.ladders({"divided": ladder(10), "not divided": ladder(20)})
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["passes", "wrong values"]
        assert [len(axes.collections) for axes in figure.axes] == [2, 2]
        assert len({area.get_hatch() for area in figure.axes[0].collections}) == 2
        plt.close("all")
