"""Plots of GRPO's training: what became of the completions at every step, and what the policy was like meanwhile.

Frames come from :mod:`codelab.book.worked.ch10` and :mod:`codelab.book.worked.ch10_arms`; each function returns the
figure. Not covered: scores and differences (``codelab.book.figures``).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from codelab.book.style import HATCHES, PALETTE, WIDTH

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PANELS = (
    ("rung_passes", "Pass all tests", "% of completions"),
    ("percent", "Pass, validation", "% of answers"),
    ("reward", "Mean reward", "reward"),
    ("hard_coded_some", "Expected constant", "% of those that pass one"),
    ("distinct", "Distinct programs", "% of completions"),
    ("rung_some", "Pass some tests", "% of completions"),
    ("kl_token_exact", "KL to the reference", "nats a token"),
    ("entropy", "Entropy", "nats a token"),
    ("length", "Length", "tokens"),
)
_LINES = ("-", "--", ":")


def panels(frame: "pd.DataFrame", wanted: Sequence[tuple[str, str, str]] = PANELS) -> "Figure":
    """Columns of the steps in small panels over the same steps: seeds thin, their mean bold, an arm a colour and line.

    Args:
        frame: columns ``name``, ``seed``, ``step`` and those of the panels; rows without a panel's value are left out.
        wanted: a panel each: column, title, unit.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415

    rows = -(-len(wanted) // 3)
    figure, grid = plt.subplots(
        rows, 3, figsize=(WIDTH, 0.5 + 1.75 * rows), sharex=True, squeeze=False, layout="constrained"
    )
    for place, (axes, (column, title, unit)) in enumerate(zip(grid.flat, wanted, strict=False)):
        for number, (name, mine) in enumerate(frame.dropna(subset=[column]).groupby("name", sort=False)):
            colour, line = PALETTE[number % len(PALETTE)], _LINES[number % len(_LINES)]
            if mine["seed"].nunique() > 1:
                for _, unit_rows in mine.groupby("seed"):
                    axes.plot(
                        unit_rows["step"], unit_rows[column], color=colour, linestyle="-", linewidth=0.7, alpha=0.45
                    )
            mean = mine.groupby("step")[column].mean()
            axes.plot(mean.index, mean, color=colour, linestyle=line, linewidth=1.8, label=str(name))
        axes.set_title(f"{'abcdefghi'[place]}  {title}", loc="left", fontsize=9)
        axes.set_ylabel(unit, fontsize=8)
        axes.set_ylim(bottom=0)
        axes.grid(True)
    for axes in list(grid.flat)[len(wanted) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("Step")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=len(_LINES))
    return figure


def ladders(frames: Mapping[str, "pd.DataFrame"], least: float = 1.0) -> "Figure":
    """How far completions came, stacked over the steps, a panel an arm on one axis.

    Args:
        frames: by the panel's title; columns ``step``, ``rung`` and ``percent`` as
            :func:`codelab.book.worked.ch10.ladder` gives them, the same rung at the bottom in all.
        least: rungs that reach this share (per cent) at no step are left out.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, grid = plt.subplots(
        1, len(frames), figsize=(WIDTH, 3.3), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    parts = [part for frame in frames.values() for part in frame.groupby("rung", sort=False)]
    names = list(dict.fromkeys(str(rung) for rung, part in parts if part["percent"].max() >= least))
    for place, (axes, (title, frame)) in enumerate(zip(grid.flat, frames.items(), strict=True)):
        wide = frame.pivot_table("percent", "step", "rung").reindex(columns=names).fillna(0.0)
        colours = [PALETTE[number % len(PALETTE)] for number in range(len(names))]
        for number, area in enumerate(axes.stackplot(wide.index, wide.T, labels=names, colors=colours)):
            area.set(hatch=HATCHES[number % len(HATCHES)], edgecolor="white", linewidth=0)
        axes.set_title(f"{'abcdefghi'[place]}  {title}", loc="left", fontsize=9)
        axes.set_xlabel("Step")
        axes.margins(0)
    grid[0, 0].set_ylabel("Completions (%)")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure
