"""Plots of what preference training does to a policy: likelihood of both sides, margin, accuracy, divergence, passes.

Frames come from :mod:`codelab.book.worked.preferences`; each function returns the figure. Where arms differ by orders
of magnitude the axis is linear around zero and logarithmic beyond, the same for all of them. Not covered: scores and
their differences (``codelab.book.figures``).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.style import MUTED, PALETTE, WIDTH

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDES = {"chosen": (PALETTE[0], "-"), "rejected": (PALETTE[1], "--")}
_LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
_MARKS = ("o", "s", "^", "D", "v", "P")


def training(
    ratios: "pd.DataFrame", looks: "pd.DataFrame", beside: "tuple[pd.DataFrame, pd.DataFrame] | None" = None
) -> "Figure":
    """One arm's course in four panels over the same steps: log-ratios, margin, accuracy, KL; seeds thin, mean bold.

    Args:
        ratios: columns ``seed``, ``step``, ``chosen``, ``rejected``, ``margin`` and ``accuracy``.
        looks: columns ``seed``, ``step``, ``kl``, ``kl_low`` and ``kl_high``.
        beside: both frames of another arm, drawn in grey below the first.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, grid = plt.subplots(2, 2, figsize=(WIDTH, 4.6), sharex=True, layout="constrained")
    for mine, seen, grey in ([(*beside, MUTED)] if beside else []) + [(ratios, looks, None)]:
        for side, (colour, line) in SIDES.items():
            _course(grid[0, 0], mine, side, grey or colour, line, label=None if grey else side)
        _course(grid[0, 1], mine, "margin", grey or PALETTE[0])
        _course(grid[1, 0], mine, "accuracy", grey or PALETTE[0])
        _course(grid[1, 1], seen, "kl", grey or PALETTE[0], marker="o")
        for _, unit in seen.groupby("seed"):
            grid[1, 1].fill_between(
                unit["step"], unit["kl_low"], unit["kl_high"], color=grey or PALETTE[0], alpha=0.15, linewidth=0
            )
    grid[0, 0].axhline(0, color=MUTED, linewidth=1)
    grid[1, 0].axhline(50, color=MUTED, linewidth=1)
    grid[0, 0].legend(title=None, fontsize=8)
    titles = (
        ("Log-ratio to the reference", "nats a completion"), ("Margin", "nats a completion"),
        ("Chosen side ahead", "% of pairs"), ("KL to the reference", "nats a completion"),
    )  # fmt: skip
    _name(grid, titles)
    for axes in grid[1]:
        axes.set_xlabel("Step")
    return figure


def drift(looks: "pd.DataFrame", near: float = 0.1) -> "Figure":
    """KL to the reference and share of completions that pass, by step, a curve an arm in both panels.

    Args:
        looks: columns ``name``, ``seed``, ``step``, ``kl``, ``kl_low``, ``kl_high`` and ``percent``.
        near: the axis of KL is linear up to here.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.5), layout="constrained")
    for number, name in enumerate(dict.fromkeys(looks["name"])):
        mine, colour = looks[looks["name"] == name], PALETTE[number % len(PALETTE)]
        look: dict[str, Any] = {"marker": _MARKS[number % len(_MARKS)], "label": name}
        _course(left, mine, "kl", colour, _LINES[number % len(_LINES)], **look)
        _course(right, mine, "percent", colour, _LINES[number % len(_LINES)], **look)
        for _, unit in mine.groupby("seed"):
            left.fill_between(unit["step"], unit["kl_low"], unit["kl_high"], color=colour, alpha=0.12, linewidth=0)
    _around_zero(left, list(looks["kl"]), near)
    left.set(xlabel="Step", ylabel="KL to the reference (nats a completion)")
    right.set(xlabel="Step", ylabel="Validation samples that pass (%)")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.grid(True)
    handles, labels = left.get_legend_handles_labels()
    columns = 3 if max(map(len, labels)) <= 24 else 2
    figure.legend(handles, labels, loc="outside upper left", ncols=columns, fontsize=8)
    return figure


def courses(ratios: "pd.DataFrame", looks: "pd.DataFrame", other: Sequence[str] = (), near: float = 1.0) -> "Figure":
    """Arms in four panels over the same steps: chosen and rejected log-ratio, KL to the reference, passes.

    Args:
        ratios: columns ``name``, ``seed``, ``step``, ``chosen`` and ``rejected``.
        looks: columns ``name``, ``seed``, ``step``, ``kl``, ``kl_low``, ``kl_high`` and ``percent``.
        other: names drawn in grey and broken, since they were trained another way.
        near: the axes of log-ratios and KL are linear up to here.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, grid = plt.subplots(2, 2, figsize=(WIDTH, 4.9), sharex=True, layout="constrained")
    names = list(dict.fromkeys(looks["name"]))
    colours = iter(PALETTE)
    for number, name in enumerate(names):
        colour = MUTED if name in other else next(colours)
        mark: dict[str, Any] = {"marker": _MARKS[number % len(_MARKS)]}
        line = _LINES[1 + list(other).index(name) % 2] if name in other else "-"
        sides, seen = ratios[ratios["name"] == name], looks[looks["name"] == name]
        _course(grid[0, 0], sides, "chosen", colour, line, **mark, markevery=5, label=name)
        _course(grid[0, 1], sides, "rejected", colour, line, **mark, markevery=5)
        _course(grid[1, 0], seen, "kl", colour, line, **mark)
        _course(grid[1, 1], seen, "percent", colour, line, **mark)
        for _, unit in seen.groupby("seed"):
            grid[1, 0].fill_between(
                unit["step"], unit["kl_low"], unit["kl_high"], color=colour, alpha=0.12, linewidth=0
            )
    titles = (
        ("Chosen: log-ratio", "nats a program"), ("Rejected: log-ratio", ""),
        ("KL on the policy's own samples", "nats a completion"), ("Validation samples that pass", "%"),
    )  # fmt: skip
    _name(grid, titles)
    both = [*ratios["chosen"], *ratios["rejected"]]
    for axes in grid[0]:
        axes.axhline(0, color=MUTED, linewidth=1)
        _around_zero(axes, both, near)
        axes.set_ylim(1.5 * min(-near, *both), 1.5 * max(near, *both))
    _around_zero(grid[1, 0], list(looks["kl"]), near)
    for axes in grid[1]:
        axes.set_ylim(bottom=0)
        axes.set_xlabel("Step")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3 if max(map(len, labels)) <= 24 else 2, fontsize=8)
    return figure


def _name(grid: Any, titles: Sequence[tuple[str, str]]) -> None:
    """Letters, titles and units of four panels."""
    for axes, (title, scale), letter in zip(grid.flat, titles, "abcd", strict=True):
        axes.set_title(f"{letter}  {title}", loc="left", fontsize=9)
        axes.set_ylabel(scale)
        axes.grid(True)


def _course(axes: "Axes", frame: "pd.DataFrame", column: str, colour: str, line: Any = "-", **look: Any) -> None:
    """The mean over seeds, bold, over the single seeds, where there are several."""
    if frame["seed"].nunique() > 1:
        for _, unit in frame.groupby("seed"):
            axes.plot(unit["step"], unit[column], color=colour, linestyle=line, linewidth=0.7, alpha=0.45)
    mean = frame.groupby("step")[column].mean()
    axes.plot(mean.index, mean, color=colour, linestyle=line, linewidth=1.8, markersize=3.5, **look)


def _around_zero(axes: "Axes", values: Sequence[float], near: float) -> None:
    """Make the vertical axis linear up to ``near`` and logarithmic beyond, with ticks at whole powers of ten."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator  # noqa: PLC0415

    low, high = min(0.0, *values), max(0.0, *values)
    steps = [near * 10**power for power in range(8)]
    axes.set_yscale("symlog", linthresh=near, linscale=0.7)
    ticks = [-step for step in steps if step <= 2 * -low] + [0.0] + [step for step in steps if step <= 2 * high]
    axes.yaxis.set_major_locator(FixedLocator(sorted(ticks)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−")))
