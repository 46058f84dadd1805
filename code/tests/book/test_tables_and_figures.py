"""Tables in Markdown and the shared plots."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from codelab.book import figures, tables
from codelab.book.style import styled


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    """The book's look, and no figure left open."""
    with styled():
        yield
        plt.close("all")


ROWS = [
    {"name": "a|b", "peak": 1.5e9, "share": 0.5, "ok": True, "n": 3},
    {"name": "c\nd", "peak": None, "share": -0.25, "ok": False, "n": 4},
]


def test_table() -> None:
    text = tables.show(
        ROWS,
        {"name": "Name", "peak": "Peak (GB)", "share": "Share", "ok": "Fine", "n": "n"},
        {"peak": ".2f GB", "share": ".0f %"},
        note="From somewhere.",
    ).replace("\N{NO-BREAK SPACE}", " ")
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if "|" in line]
    assert lines[2] == ["a\\|b", "1.50", "50 %", "yes", "3"]
    assert lines[3] == ["c d", "–", "−25 %", "no", "4"]
    assert text.endswith("\n\nFrom somewhere.\n")
    assert "---:|" in text.splitlines()[1], "numbers stand to the right"


def test_table_of_a_frame_with_all_columns() -> None:
    text = tables.show(pd.DataFrame({"x": [1234.5, 0.1234]}))
    assert [line.strip("| ") for line in text.splitlines()[2:]] == ["1,234", "0.123"]
    with pytest.raises(KeyError):
        tables.show(ROWS, {"missing": "Missing"})


def test_bars_with_intervals() -> None:
    frame = pd.DataFrame(
        {
            "v": ["a", "b", "a", "b"],
            "arm": ["x", "x", "y", "y"],
            "t": [1.0, 2, 3, 4],
            "lo": [0.5, 1, 2, 3],
            "hi": [2.0, 3, 4, 5],
        }
    )
    axes = figures.bars(frame, "t", "v", "Time (s)", low="lo", high="hi", hue="arm").axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "2", "3", "4"]
    assert axes.get_xlabel() == "Time (s)"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["x", "y"]
    assert axes.containers[1][0].get_hatch(), "groups differ in grey too"


def test_differences_fill_only_what_is_clear() -> None:
    rows = [{"name": "a", "value": 1, "low": 0.5, "high": 2}, {"name": "b", "value": 1, "low": -0.5, "high": 2}]
    axes = figures.differences(rows, "points").axes[0]
    faces = [container.lines[0].get_markerfacecolor() for container in axes.containers]
    assert faces[0] != "white"
    assert faces[1] == "white"


def test_timeline_stacks_phases() -> None:
    frame = pd.DataFrame({"name": ["load", "run", "load"], "variant": ["a", "a", "b"], "seconds": [1.0, 2.0, 5.0]})
    axes = figures.timeline(frame).axes[0]
    run = axes.containers[1][0]
    assert (run.get_x(), run.get_width()) == (1.0, 2.0)


def test_timeline_breaks_a_legend_that_is_too_wide_for_the_page() -> None:
    long = [f"a part with a long name {i}" for i in range(6)]
    frame = pd.DataFrame({"variant": "run", "name": long, "seconds": 1.0})
    with styled():
        figure = figures.timeline(frame)
        figure.canvas.draw()
        axes = figure.axes[0]
        legend = axes.get_legend()
        assert legend is not None
        assert legend.get_window_extent().x1 <= figure.bbox.x1, "it would be cut off, or squeeze the bars"
        assert axes.bbox.width > figure.bbox.width / 2
        short = figures.timeline(frame.assign(name=list("abcdef")))
        short.canvas.draw()
        row = short.axes[0].get_legend()
        assert row is not None
        assert 2 * row.get_window_extent().height < legend.get_window_extent().height, "short names keep to one row"


def test_curves_draw_every_seed_and_the_mean() -> None:
    frame = pd.DataFrame(
        {"step": [0, 1] * 4, "loss": [2.0, 1, 4, 3, 1, 1, 3, 3], "seed": [0, 0, 1, 1] * 2, "arm": ["a"] * 4 + ["b"] * 4}
    )
    axes = figures.curves(frame, "step", "loss", xlabel="Step", ylabel="Loss", seed="seed", hue="arm").axes[0]
    drawn = [list(line.get_ydata()) for line in axes.lines if len(line.get_xdata())]
    assert [3.0, 2.0] in drawn
    assert [2.0, 1.0] in drawn


def test_a_legend_above_the_plot_hides_no_curve() -> None:
    frame = pd.DataFrame({"step": [0, 1] * 2, "loss": [2.0, 1, 4, 3], "arm": ["a"] * 2 + ["b"] * 2})
    axes = figures.curves(frame, "step", "loss", xlabel="Step", ylabel="Loss", hue="arm", above=1).axes[0]
    legend = axes.get_legend()
    assert legend is not None
    axes.figure.canvas.draw()
    assert legend.get_window_extent().y0 >= axes.get_window_extent().y1


def test_panels_have_scales_of_their_own() -> None:
    left, right = figures.panels(2)
    frame = pd.DataFrame({"x": [0, 1], "nats": [4.0, 3.0], "bits": [1.2, 1.1]})
    whole = figures.curves(frame, "x", "nats", xlabel="Step", ylabel="Nats", axes=left)
    assert figures.curves(frame, "x", "bits", xlabel="Step", ylabel="Bits", axes=right) is whole
    assert left.get_ylim() != right.get_ylim()
    assert [axes.get_ylabel() for axes in whole.axes] == ["Nats", "Bits"]
