"""The plot of groups without variance against their size.

Not covered: making the frame (:mod:`codelab.book.worked.ch10_signal`).
"""

from typing import TYPE_CHECKING

from codelab.book.style import PALETTE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = ("-", "--", "-", "--")
_MARKS = ("o", "s", "^", "D")


def flat(frame: "pd.DataFrame", axes: "Axes", title: str) -> "Figure":
    """Curves over group size on a logarithmic axis, with intervals; told apart by colour, line, mark and filling.

    Args:
        frame: columns ``curve``, ``group``, ``percent``, ``low`` and ``high``.
        axes: where.
        title: of the panel.
    """
    for number, (name, rows) in enumerate(frame.groupby("curve", sort=False)):
        span = [rows["percent"] - rows["low"], rows["high"] - rows["percent"]]
        colour = PALETTE[number % len(PALETTE)]
        axes.errorbar(
            rows["group"], rows["percent"], yerr=span, label=str(name), color=colour, capsize=2.5, linewidth=1.5,
            linestyle=_LINES[number % 4], marker=_MARKS[number % 4], markersize=5,
            markerfacecolor=colour if number % 2 == 0 else "white",
        )  # fmt: skip
    sizes = sorted(set(frame["group"]))
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(-3, 103)
    axes.set(xlabel="Completions a group", ylabel="Groups without variance (%)")
    axes.set_title(title, loc="left", fontsize=9)
    axes.grid(True)
    axes.legend(title=None, fontsize=8, loc="center left", bbox_to_anchor=(0, 0.5))
    figure: Figure = axes.get_figure(root=True)  # type: ignore[assignment]
    return figure
