"""Diagrams of chapter 2: training memory by method and size, and the NF4 code beside even steps.

Everything drawn is computed by ``codelab.book.worked.ch02``. Not covered: measured memory.
"""

from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from codelab.book.diagrams import diagram
from codelab.book.style import HATCHES, INK, MUTED, PALE, PALETTE, WIDTH
from codelab.book.worked import ch02

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = ("weights", "gradients", "optimizer", "activations", "adapters")
MARKERS = {"full": "s", "LoRA": "o", "QLoRA": "D"}


@diagram("q2-memory")
def memory() -> "Figure":
    """Left: the parts for 7 B; right: totals of four sizes against five cards, on a logarithmic axis."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.3), gridspec_kw={"width_ratios": (1, 1.25)})
    rows = ch02.memory_rows()
    _parts(left, [row for row in rows if row.model == "7 B"])
    _totals(right, rows)
    return figure


def _parts(axes: "Axes", rows: list[ch02.MemoryRow]) -> None:
    names = [row.method for row in rows]
    base = np.zeros(len(rows))
    for index, part in enumerate(PARTS):
        sizes = np.array([getattr(row, part) for row in rows]) / ch02.GB
        axes.bar(
            names, sizes, 0.62, base, label=part, color=PALE[index], edgecolor=PALETTE[index], hatch=HATCHES[index]
        )
        base += sizes
    for x, total in enumerate(base):
        axes.text(x, total + 1.5, f"{total:.1f}", ha="center", fontsize=8.5, color=INK)
    axes.set_ylabel("GB")
    axes.set_ylim(0, 122)
    axes.set_title("7 B, by part")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="upper right", fontsize=7.5)


def _totals(axes: "Axes", rows: list[ch02.MemoryRow]) -> None:
    models = list(ch02.MODELS)
    for index, method in enumerate(ch02.METHODS.values()):
        totals = [row.total / ch02.GB for row in rows if row.method == method]
        axes.plot(
            range(len(models)), totals, color=PALETTE[index], marker=MARKERS[method], label=method, linestyle="-",
            linewidth=1.2,
        )  # fmt: skip
    for card in ch02.CARDS:
        axes.axhline(card, color=MUTED, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        axes.text(3.42, card, f"{card} GB", fontsize=7.5, color=MUTED, va="center")
    axes.set_yscale("log")
    axes.set_yticks([3, 10, 30, 100, 300, 1000], ["3", "10", "30", "100", "300", "1,000"])
    axes.minorticks_off()
    axes.grid(visible=False)
    axes.set_xticks(range(len(models)), models)
    axes.set_xlim(-0.3, 3.4)
    axes.set_ylabel("GB (logarithmic)")
    axes.set_title("Total, against cards")
    axes.legend(loc="upper left", fontsize=8)


@diagram("q2-nf4")
def nf4() -> "Figure":
    """Levels of NF4 and of symmetric 4-bit integers under normal weights, scaled as in a typical block of 64."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(WIDTH, 2.3))
    scale = ch02.typical_largest()
    x = np.linspace(-1, 1, 400)
    density = np.array([NormalDist().pdf(float(value) * scale) for value in x])
    axes.fill_between(x, density / density.max(), color=PALE[0], edgecolor=PALETTE[0], linewidth=1)
    for y, levels, colour, name in (
        (-0.28, ch02.nf4_levels(), PALETTE[1], "NF4"),
        (-0.68, ch02.int4_levels(), PALETTE[3], "int4"),
    ):
        axes.vlines(levels, y - 0.13, y + 0.13, color=colour, linewidth=1.8)
        axes.plot([-1, 1], [y, y], color=colour, linewidth=0.6, linestyle="-")
        axes.text(-1.06, y, name, ha="right", va="center", color=INK, fontsize=9)
    axes.text(-1.06, 0.45, "weights", ha="right", va="center", color=INK, fontsize=9)
    axes.set_xlim(-1.3, 1.08)
    axes.set_ylim(-0.92, 1.08)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    axes.set_xlabel("weight divided by the largest magnitude of its block")
    return figure
