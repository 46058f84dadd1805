"""Figure of chapter 4: how often a group of completions carries signal, by success rate and group size."""

from typing import TYPE_CHECKING

import numpy as np

from codelab.book.diagrams import diagram
from codelab.book.style import INK, MUTED, PALETTE
from codelab.book.worked.ch04 import informative_share, informative_share_beta

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GROUPS = (8, 16, 64)
CONCENTRATION = 1.0


@diagram("q4-informative")
def informative() -> "Figure":
    """Share of groups with both passes and failures: all tasks alike (solid) and uneven tasks (dashed)."""
    import matplotlib.pyplot as plt  # noqa: PLC0415
    from matplotlib.ticker import PercentFormatter  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(6.5, 3.2))
    rates = np.geomspace(0.002, 0.5, 200)
    for index, group in enumerate(GROUPS):
        colour = PALETTE[(0, 1, 3)[index]]
        alike = [informative_share(p, group) for p in rates]
        uneven = [informative_share_beta(p, CONCENTRATION, group) for p in rates]
        axes.plot(rates, alike, color=colour, ls="-")
        axes.plot(rates, uneven, color=colour, ls="--")
        at = (0.1, 0.045, 0.012)[index]
        share = informative_share(at, group)
        axes.text(
            at * 0.95, share, f"G = {group}", color=colour, ha="right", va="bottom", fontsize=8.5, fontweight="bold"
        )
    axes.plot([], [], color=INK, ls="-", label="every task equally hard")
    axes.plot([], [], color=INK, ls="--", label="few tasks hold most successes")
    axes.axvline(0.02, color=MUTED, lw=0.8, ls=":")
    axes.text(0.0206, 0.97, "2 %", color=MUTED, fontsize=8, va="top", ha="left")
    axes.set_xscale("log")
    axes.set_xticks([0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5], ["0.2", "0.5", "1", "2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.set_xlim(0.002, 0.5)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("mean success rate of one sample, %")
    axes.set_ylabel("groups with any signal")
    axes.legend(loc="upper left")
    return figure
