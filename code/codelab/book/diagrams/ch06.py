"""Diagrams of chapter 6: the two-parameter forgetting problem, and published losses under replay.

Everything drawn is computed or held by ``codelab.book.worked.ch06``. Not covered: measured runs of this project.
"""

from typing import TYPE_CHECKING

import numpy as np

from codelab.book.diagrams import diagram
from codelab.book.style import INK, MUTED, PALETTE, WIDTH
from codelab.book.worked import ch06

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOK = {  # colour, dash
    "early stopping": (PALETTE[1], (0, (5, 1, 1, 1, 1, 1))),
    "interpolation of weights": (PALETTE[5], (0, (8, 2))),
    "L2 to the start": (PALETTE[4], "-."),
    "one fixed direction (low rank)": (PALETTE[2], ":"),
    "EWC (diagonal Fisher)": (PALETTE[3], "--"),
    "replay": (PALETTE[0], "-"),
}


@diagram("q6-plane")
def plane() -> "Figure":
    """Left: paths of the parameters over contours of the old loss; right: the same paths as gain against forgetting."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.5))
    _parameters(left)
    _trade(right)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, columnspacing=1.4)
    return figure


def _parameters(axes: "Axes") -> None:
    grid_x, grid_y = np.meshgrid(np.linspace(-0.5, 1.9, 160), np.linspace(-0.5, 1.5, 160))
    points = np.stack([grid_x.ravel(), grid_y.ravel()], axis=1)
    heights = np.array([ch06.forgetting(point) for point in points]).reshape(grid_x.shape)
    contours = axes.contour(
        grid_x, grid_y, heights, levels=[0.02, 0.1, 0.3, 0.6, 1.0], colors=MUTED, linewidths=0.7, linestyles="-"
    )
    axes.clabel(contours, fontsize=7, fmt="%g")
    for each in ch06.STRATEGIES:
        colour, dash = LOOK[each.name]
        path = each.thetas(400)
        axes.plot(path[:, 0], path[:, 1], color=colour, linestyle=dash)
    for point, name, offset in ((np.zeros(2), "start", (-0.04, -0.2)), (ch06.TARGET, "new optimum", (-0.32, 0.13))):
        axes.plot(*point, marker="o", color=INK, markersize=5, linestyle="none")
        axes.text(point[0] + offset[0], point[1] + offset[1], name, fontsize=8.5, color=INK)
    axes.set_xlabel("first parameter")
    axes.set_ylabel("second parameter")
    axes.set_title("Paths on the old loss")
    axes.grid(visible=False)
    axes.set_aspect("equal")


def _trade(axes: "Axes") -> None:
    for each in ch06.STRATEGIES:
        colour, dash = LOOK[each.name]
        points = each.points(400)
        axes.plot(points[:, 0], points[:, 1], color=colour, linestyle=dash, label=each.name)
    axes.axvline(0.8, color=MUTED, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
    axes.set_xlabel("new skill: share of the new loss removed")
    axes.set_ylabel("forgetting: rise of the old loss (nats)")
    axes.set_title("Forgetting against gain")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.15)


@diagram("q6-replay")
def replay() -> "Figure":
    """Final losses of Ibrahim et al. 2024 by share of replay, for a weak and a strong shift of language."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 2.7))
    tables = (("English to English", ch06.REPLAY_WEAK), ("English to German", ch06.REPLAY_STRONG))
    for axes, (title, table) in zip(panels, tables, strict=True):
        position = range(len(table))
        axes.plot(position, [old for old, _ in table.values()], color=PALETTE[1], marker="o", label="old text (Pile)")
        axes.plot(position, [new for _, new in table.values()], color=PALETTE[0], marker="s", label="new text")
        axes.axhline(ch06.REPLAY_START, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)))
        axes.set_xticks(position, [f"{share * 100:g}" for share in table])
        axes.set_xlabel("replayed share of each batch (%)")
        axes.set_title(title)
    panels[0].set_ylabel("final loss (nats a token)")
    panels[0].set_ylim(2.1, 2.6)
    panels[1].set_ylim(0.9, 3.8)
    panels[0].text(-0.2, ch06.REPLAY_START - 0.025, "old text before", fontsize=7.5, color=MUTED)
    panels[1].text(-0.2, ch06.REPLAY_START - 0.16, "old text before", fontsize=7.5, color=MUTED)
    panels[1].legend(loc="upper right", fontsize=8)
    return figure
