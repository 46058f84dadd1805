"""The plot of groups without variance draws every curve with its interval, and tells them apart without colour."""

import matplotlib.pyplot as plt
import pandas as pd

from codelab.book import figures, groups
from codelab.book.style import styled


def test_each_curve_has_its_own_line_and_mark_and_its_interval() -> None:
    frame = pd.DataFrame([
        {"curve": name, "group": size, "percent": 40.0 - size, "low": 30.0 - size, "high": 45.0 - size}
        for name in "abcd" for size in (4, 8, 16)
    ])  # fmt: skip
    with styled():
        axes = figures.panels(1)[0]
        figure = groups.flat(frame, axes, "a  title")
        assert figure.axes == [axes]
        handles, names = axes.get_legend_handles_labels()
        assert names == list("abcd")
        looks = {(one[0].get_linestyle(), one[0].get_marker(), one[0].get_markerfacecolor()) for one in handles}  # type: ignore[index]
        assert len(looks) == 4
        first = handles[0][0]  # type: ignore[index]
        assert list(first.get_ydata()) == [36.0, 32.0, 24.0]
        assert [text.get_text() for text in axes.get_xticklabels()] == ["4", "8", "16"]
        (low, high), *_ = [segment[:, 1] for segment in handles[0][2][0].get_segments()]  # type: ignore[index]
        assert (low, high) == (26.0, 41.0)
        plt.close("all")
