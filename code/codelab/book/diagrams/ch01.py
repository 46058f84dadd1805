"""Diagram of chapter 1: how learning rate, data and loss change from stage to stage of the combined recipe.

The curves show shapes, not values of any run. Not covered: measured runs, which chapters draw from records.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codelab.book.diagrams import diagram
from codelab.book.style import HATCHES, INK, MUTED, PALE, PALETTE, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STAGES = (("pretraining", 0.0, 3.2), ("continued pretraining", 3.2, 6.3), ("fine-tuning", 6.3, 8.7))
COLOURS = (PALETTE[0], PALETTE[1], PALETTE[3])
SHARES = (  # of general text, domain text and instructions, by stage
    (1.0, 0.22, 0.08),
    (0.0, 0.78, 0.08),
    (0.0, 0.0, 0.84),
)
Line = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]


@diagram("q1-stages")
def stages() -> "Figure":
    """Learning rate over the stages, the mixture of data below, and which tokens carry loss."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (top, middle, bottom) = plt.subplots(
        3, 1, figsize=(WIDTH, 4.0), sharex=True, gridspec_kw={"height_ratios": (2.1, 1.3, 0.9)}
    )
    _learning_rate(top)
    _mixture(middle)
    _loss(bottom)
    for axes in (top, middle, bottom):
        axes.grid(visible=False)
        axes.set_xlim(-0.05, 8.75)
        axes.set_xticks([])
        axes.set_yticks([])
        for _, start, _ in STAGES[1:]:
            axes.axvline(start, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=4)
    for name, start, end in STAGES:
        top.text((start + end) / 2, 1.2, name, ha="center", va="bottom", fontsize=9.5, fontweight="bold", color=INK)
    bottom.set_xlabel("tokens processed (not to scale: later stages are shorter)")
    return figure


def _schedule(start: float, end: float, levels: tuple[float, float, float], warmup: float = 0.13) -> Line:
    """Linear rise from the first level to the second, then half a cosine down to the third."""
    floor, peak, final = levels
    x = np.linspace(start, end, 300)
    rise = floor + (peak - floor) * (x - start) / warmup
    fall = final + (peak - final) * 0.5 * (1 + np.cos(np.pi * (x - start - warmup) / (end - start - warmup)))
    return x, np.where(x < start + warmup, rise, fall)


def _learning_rate(axes: "Axes") -> None:
    levels = ((0.0, 1.0, 0.1), (0.1, 1.0, 0.1), (0.0, 0.2, 0.0))
    for (_, start, end), colour, heights in zip(STAGES, COLOURS, levels, strict=True):
        axes.plot(*_schedule(start, end, heights), color=colour, linestyle="-")
    axes.plot(STAGES[1][1:], [0.1, 0.1], color=COLOURS[1], linestyle=(0, (1, 1.5)), linewidth=1.2)
    axes.text(3.85, 1.03, "re-warm", fontsize=8.5, color=INK, va="center")
    axes.text(5.0, 0.6, "re-decay", fontsize=8.5, color=INK)
    axes.text(3.42, 0.15, "or keep it low", fontsize=8, color=MUTED)
    axes.text(7.0, 0.22, "small and short", fontsize=8.5, color=INK)
    axes.set_ylim(0, 1.15)
    axes.set_ylabel("learning rate")


def _mixture(axes: "Axes") -> None:
    base = np.zeros(len(STAGES))
    for index, shares in enumerate(SHARES):
        for (_, start, end), share, low in zip(STAGES, shares, base, strict=True):
            axes.bar(
                start,
                share,
                end - start,
                low,
                align="edge",
                color=PALE[(0, 1, 3)[index]],
                edgecolor=COLOURS[index],
                hatch=HATCHES[index],
                linewidth=0.6 if share else 0,
            )
        base += np.array(shares)
    for x, y, text, size in (
        (1.6, 0.5, "general text", 8.5),
        (4.75, 0.61, "domain text", 8.5),
        (4.75, 0.105, "replay of general text", 7.5),
        (7.5, 0.56, "instructions", 8.5),
        (7.5, 0.08, "rehearsal", 7),
    ):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.text(x, y, text, ha="center", va="center", fontsize=size, color=INK, bbox=box)
    axes.set_ylim(0, 1)
    axes.set_ylabel("data")


def _loss(axes: "Axes") -> None:
    """A strip of tokens: filled where the loss is taken."""
    width = 0.2
    for (_, start, end), colour in zip(STAGES, COLOURS, strict=True):
        for index, x in enumerate(np.arange(start + 0.12, end - width, width).tolist()):
            prompt = start == STAGES[-1][1] and index < 5
            fill = "white" if prompt else colour
            axes.bar(x, 0.5, width * 0.78, 0.1, align="edge", linewidth=0.8, color=fill, edgecolor=colour)
    for x, text in ((1.6, "every token"), (4.75, "every token"), (6.88, "prompt: none"), (8.0, "answer: all")):
        axes.text(x, 0.8, text, ha="center", fontsize=8, color=INK)
    axes.set_ylim(0, 1.15)
    axes.set_ylabel("loss on")
