"""Figures of chapter 3: the two training loops, and what one group of completions weighs in each."""

from typing import TYPE_CHECKING

import numpy as np

from codelab.book.diagrams import diagram
from codelab.book.style import HATCHES, INK, MUTED, PALE, PALETTE
from codelab.book.worked.ch03 import Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Box = tuple[float, float, float, str, str]


@diagram("q3-loops")
def loops() -> "Figure":
    """DPO as a straight line from a fixed file to a loss, GRPO as a loop through the policy's own samples."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (upper, lower) = plt.subplots(2, 1, figsize=(6.5, 4.6), height_ratios=[1.15, 1.42])
    _flow(
        upper,
        "DPO: a fixed file of pairs, no sampling",
        [
            (0.0, 0.5, 1.6, "pairs (x, y$_w$, y$_l$)\nmade once", PALE[4]),
            (2.1, 0.5, 1.9, "log π$_θ$ of both answers\n(with gradient)", PALE[0]),
            (2.1, -0.75, 1.9, "log π$_{ref}$ of both\n(once, then stored)", PALE[5]),
            (4.5, 0.5, 1.7, "margin h\n−log σ(β h)", PALE[3]),
            (6.7, 0.5, 1.3, "update π$_θ$", PALE[0]),
        ],
        [
            ((1.6, 0.5), (2.1, 0.5)),
            ((4.0, 0.5), (4.5, 0.5)),
            ((6.2, 0.5), (6.7, 0.5)),
            ((1.6, 0.3), (2.1, -0.75)),
            ((4.0, -0.75), (4.5, 0.3)),
        ],
        (-1.25, 1.75),
    )
    upper.annotate(
        "",
        (3.05, 0.86),
        (7.35, 0.86),
        arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.0, "connectionstyle": "bar,fraction=0.06"},
    )
    upper.text(5.2, 1.27, "next batch of the same pairs", ha="center", va="bottom", fontsize=8, color=MUTED)
    _flow(
        lower,
        "GRPO: the policy writes, a judge scores, the group is its own baseline",
        [
            (0.0, 0.5, 1.6, "prompts x\n(no answers)", PALE[4]),
            (2.1, 0.5, 1.9, "sample G answers\nfrom π$_{old}$", PALE[0]),
            (4.5, 0.5, 1.7, "reward of each\n(run the tests)", PALE[1]),
            (6.7, 0.5, 1.3, "advantage\nA$_i$", PALE[3]),
            (6.7, -0.95, 1.3, "clipped loss\n(+ β k3)", PALE[3]),
            (4.5, -0.95, 1.7, "log π$_{ref}$\n(only if β > 0)", PALE[5]),
            (2.1, -0.95, 1.9, "update π$_θ$", PALE[0]),
        ],
        [
            ((1.6, 0.5), (2.1, 0.5)),
            ((4.0, 0.5), (4.5, 0.5)),
            ((6.2, 0.5), (6.7, 0.5)),
            ((7.35, 0.13), (7.35, -0.58)),
            ((6.2, -0.95), (6.7, -0.95)),
            ((3.05, -0.58), (3.05, 0.13)),
        ],
        (-1.95, 1.25),
    )
    lower.annotate(
        "",
        (3.05, -1.32),
        (7.35, -1.32),
        arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.0, "connectionstyle": "bar,fraction=-0.06"},
    )
    lower.text(5.2, -1.86, "gradient", ha="center", va="bottom", fontsize=8, color=MUTED)
    lower.text(3.12, -0.22, "new samples after the update", fontsize=8, color=MUTED, va="center")
    return figure


@diagram("q3-weights")
def weights() -> "Figure":
    """Bars: the weight of one token of each completion under DPO and under two averagings of GRPO."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    group = Group()
    series = {
        "DPO (first pair only)": group.dpo_weights / group.dpo_weights[0],
        "GRPO, each answer by its own length (grpo)": group.weights["grpo"] / group.weights["grpo"][0],
        "GRPO, one divisor for all answers (dapo, dr_grpo)": group.weights["dapo"] / group.weights["dapo"][0],
    }
    figure, axes = plt.subplots(figsize=(6.5, 3.0))
    place = np.arange(len(group.rewards))
    for index, (label, values) in enumerate(series.items()):
        bars = axes.bar(
            place + (index - 1) * 0.27,
            values,
            width=0.25,
            color=PALETTE[index],
            hatch=HATCHES[index],
            edgecolor="white",
            label=label,
        )
        axes.bar_label(bars, fmt=lambda v: f"{v:.2f}".replace("-", "−") if v else "0", fontsize=7.5, padding=2)
    names = "ABCD"
    axes.set_xticks(
        place,
        [
            f"{names[i]}: {'passes' if r else 'fails'}\n{n} tokens"
            for i, (r, n) in enumerate(zip(group.rewards, group.lengths, strict=True))
        ],
    )
    axes.axhline(0, color=INK, lw=0.8)
    axes.set_ylim(-1.25, 1.3)
    axes.set_ylabel("weight of a token, A = 1")
    axes.legend(loc="upper right")
    return figure


def _flow(
    axes: "Axes",
    title: str,
    boxes: list[Box],
    arrows: list[tuple[tuple[float, float], tuple[float, float]]],
    limits: tuple[float, float],
) -> None:
    """Boxes (left, middle height, width, text, colour) and straight arrows."""
    from matplotlib.patches import FancyBboxPatch  # noqa: PLC0415

    for left, middle, width, text, colour in boxes:
        axes.add_patch(
            FancyBboxPatch(
                (left, middle - 0.36), width, 0.72, boxstyle="round,pad=0,rounding_size=0.08", fc=colour, ec=MUTED
            )
        )
        axes.text(left + width / 2, middle, text, ha="center", va="center", fontsize=8, color=INK)
    for start, end in arrows:
        axes.annotate(
            "", end, start, arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.0, "shrinkA": 0, "shrinkB": 0}
        )
    axes.set_xlim(-0.1, 8.1)
    axes.set_ylim(*limits)
    axes.set_title(title)
    axes.axis("off")
