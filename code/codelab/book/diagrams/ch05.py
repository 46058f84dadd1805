"""Figure of chapter 5: where DPO's mass goes in the three-answer policy, what beta changes, what each remedy leaves."""

from typing import TYPE_CHECKING

import numpy as np

from codelab.book.diagrams import diagram
from codelab.book.style import HATCHES, INK, MUTED, PALETTE
from codelab.book.worked import ch05
from codelab.book.worked.ch05 import CHOSEN, REJECTED, UNSEEN, Outcome, Setting, Toy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BETAS = (0.01, 0.1, 0.3, 1.0)
WRITTEN = 0.08  # smallest probability whose number fits into its bar
ANSWERS = ((CHOSEN, "chosen", PALETTE[3]), (REJECTED, "rejected", PALETTE[1]), (UNSEEN, "unseen", PALETTE[0]))


@diagram("q5-toy")
def toy() -> "Figure":
    """Path of the policy, divergence by step for several beta, and the final masses under each remedy."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure = plt.figure(figsize=(6.5, 5.8))
    upper, lower = np.ravel(np.asarray(figure.subfigures(2, 1, height_ratios=[1, 1.25])))
    left, right = upper.subplots(1, 2)
    _path(left)
    _divergence(right)
    _masses(lower.subplots())
    return figure


def _path(axes: "Axes") -> None:
    margins = np.linspace(0, 8, 200)
    policies = ch05.along(Toy(), margins)
    for (answer, name, colour), style in zip(ANSWERS, ("-", "--", "-."), strict=True):
        axes.plot(margins, policies[:, answer], color=colour, ls=style)
        at = {CHOSEN: (0.4, 0.75), REJECTED: (1.75, 0.09), UNSEEN: (5.5, 0.86)}[answer]
        axes.text(*at, name, color=colour, fontsize=8.5, fontweight="bold")
    setting = Setting()
    difference = Toy().difference
    distance = setting.rate * setting.steps * float(difference @ difference)
    for beta in (1.0, 0.3, 0.1):
        reached = ch05.margin_after(distance, beta)
        axes.axvline(reached, ymax=0.94, color=MUTED, lw=0.8, ls=":")
        axes.text(reached, 1.065, f"β {beta:g}", color=MUTED, fontsize=7.5, ha="center")
    axes.set_xlim(0, 8)
    axes.set_ylim(0, 1.13)
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.set_xlabel("margin h, nats")
    axes.set_ylabel("probability")
    axes.set_title("a  one path, whatever β")


def _divergence(axes: "Axes") -> None:
    for index, beta in enumerate(BETAS):
        path = ch05.train(Toy(), Setting(beta=beta))
        axes.plot(path.kls, color=PALETTE[0], alpha=1 - 0.18 * index, ls=("-", "--", "-.", ":")[index])
        axes.text(
            2020,
            path.kls[-1],
            f"β {beta:g}",
            fontsize=7.5,
            va=("bottom", "top", "center", "center")[index],
            color=PALETTE[0],
        )
    stopped = ch05.train(Toy(), Setting(loss="ipo", beta=0.5))
    axes.plot(stopped.kls, color=PALETTE[1], ls="-", lw=1.4)
    axes.text(2020, stopped.kls[-1], "IPO", fontsize=7.5, va="center", color=PALETTE[1])
    axes.set_xlim(0, 2000)
    axes.set_ylim(0, 3.3)
    axes.set_xticks([0, 1000, 2000])
    axes.set_xlabel("gradient steps")
    axes.set_ylabel("KL(π$_θ$ || π$_{ref}$), nats")
    axes.set_title("b  β sets the speed")


def _masses(axes: "Axes") -> None:
    model = Toy()
    separate = ch05.train(Toy(features=ch05.SEPARATE.copy()), Setting())
    rows = [
        Outcome("reference", model.reference, 0.0, 0.0),
        *ch05.remedies(),
        Outcome(
            "DPO, β = 0.1, no shared features",
            separate.policies[-1],
            float(separate.margins[-1]),
            float(separate.kls[-1]),
        ),
    ]
    height = np.arange(len(rows))[::-1]
    left = np.zeros(len(rows))
    for index, (answer, name, colour) in enumerate(ANSWERS):
        values = np.array([row.policy[answer] for row in rows])
        axes.barh(
            height, values, left=left, height=0.7, color=colour, hatch=HATCHES[index], edgecolor="white", label=name
        )
        for y, start, value in zip(height, left, values, strict=True):
            if value >= WRITTEN:
                axes.text(
                    start + value / 2,
                    y,
                    f"{value:.2f}",
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    color=INK,
                    bbox={"fc": "white", "ec": "none", "pad": 1.2},
                )
        left += values
    for y, row in zip(height, rows, strict=True):
        axes.text(1.01, y, f"KL {row.kl:.2f}", va="center", fontsize=7.5, color=INK)
    axes.set_yticks(height, [row.name for row in rows], fontsize=8)
    axes.set_xlim(0, 1.0)
    axes.set_ylim(-0.5, len(rows) - 0.5)
    axes.grid(visible=False)
    axes.set_xlabel("probability after training")
    axes.set_title("c  what each remedy leaves", loc="left", pad=16)
    axes.legend(
        loc="lower left", bbox_to_anchor=(0.42, 0.985), ncols=3, borderaxespad=0, handlelength=1.2, columnspacing=1.0
    )
