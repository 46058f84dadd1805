"""Plots that several chapters share: bars with intervals, differences, phases of a run, curves over seeds.

Each function returns the figure; a chapter's cell calls it under ``#| label``, ``#| fig-cap`` and ``#| fig-alt``. Not
covered: diagrams of ideas (``codelab.book.diagrams``) and any computation on the measurements shown.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.style import HATCHES, INK, MUTED, PALETTE, WIDTH

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def bars(
    frame: "pd.DataFrame",
    x: str,
    y: str,
    xlabel: str,
    *,
    low: str | None = None,
    high: str | None = None,
    hue: str | None = None,
    fmt: str = "{:.3g}",
    axes: "Axes | None" = None,
) -> "Figure":
    """Horizontal bars, one a row, with intervals and each value written beside its bar.

    Args:
        frame: one row a bar.
        x: column of the values.
        y: column of the bars' names, drawn in the frame's order.
        xlabel: what the values are, with their unit.
        low: column of the lower ends of the intervals.
        high: column of the upper ends.
        hue: column of a second grouping, told apart by colour and hatch.
        fmt: how a value is written beside its bar.
        axes: draw here instead of in a new figure.
    """
    import seaborn as sns  # noqa: PLC0415

    groups = list(dict.fromkeys(frame[hue])) if hue else [None]
    names = list(dict.fromkeys(frame[y]))
    axes = axes if axes is not None else _new(0.9 + 0.2 * len(names) * (max(1, len(groups)) + 0.6))
    palette = list(PALETTE[: len(groups)]) if hue else None
    sns.barplot(
        frame,
        x=x,
        y=y,
        hue=hue,
        palette=palette,
        color=None if hue else PALETTE[0],
        errorbar=None,
        saturation=1,
        ax=axes,
    )
    for container, group, hatch in zip(axes.containers, groups, HATCHES * 3, strict=False):
        rows = frame[frame[hue] == group] if hue else frame
        rows = rows.set_index(y).reindex(names)
        for patch, (_, row) in zip(list(container), rows.iterrows(), strict=False):
            patch.set(hatch=hatch, edgecolor="white")
            if row[x] == row[x]:
                middle, end = patch.get_y() + patch.get_height() / 2, row[high] if high else row[x]
                if low and high:
                    span = [[row[x] - row[low]], [row[high] - row[x]]]
                    axes.errorbar(row[x], middle, xerr=span, color=INK, capsize=2.5, linewidth=1, linestyle="none")
                axes.annotate(
                    fmt.format(row[x]), (end, middle), (4, 0), textcoords="offset points", va="center", fontsize=8
                )
    axes.margins(x=0.12)
    axes.set(xlabel=xlabel, ylabel="")
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    if hue:
        axes.legend(title=None, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2)
    return _figure(axes)


def differences(rows: Sequence[Mapping[str, Any]], xlabel: str, axes: "Axes | None" = None) -> "Figure":
    """Paired differences with intervals; those whose interval excludes zero are filled.

    Args:
        rows: mappings with ``name``, ``value``, ``low`` and ``high``, drawn from top to bottom.
        xlabel: what the difference is, with its unit.
        axes: draw here instead of in a new figure.
    """
    axes = axes if axes is not None else _new(0.9 + 0.3 * len(rows))
    for place, row in enumerate(rows):
        clear = row["low"] > 0 or row["high"] < 0
        span = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
        axes.errorbar(
            row["value"], place, xerr=span, fmt="o", color=PALETTE[0], capsize=3, mfc=PALETTE[0] if clear else "white"
        )
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_yticks(range(len(rows)), [str(row["name"]) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(xlabel)
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    return _figure(axes)


def timeline(
    frame: "pd.DataFrame", xlabel: str = "Time (s)", by: str = "variant", axes: "Axes | None" = None
) -> "Figure":
    """Where the time of each run or variant went: one stacked bar each, phases in the order in which they ran.

    Args:
        frame: rows as :meth:`codelab.book.facts.Facts.phases` gives them (``name``, ``seconds`` and ``by``).
        xlabel: label of the time axis.
        by: column that tells the bars apart.
        axes: draw here instead of in a new figure.
    """
    names = list(dict.fromkeys(frame[by].fillna("whole run")))
    phases = list(dict.fromkeys(frame["name"]))
    columns = _columns(phases)
    rows = -(-len(phases) // columns)
    axes = axes if axes is not None else _new(1.0 + 0.2 * rows + 0.34 * len(names))
    left = dict.fromkeys(names, 0.0)
    for number, phase in enumerate(phases):
        part = frame[frame["name"] == phase]
        seconds = part.assign(bar=part[by].fillna("whole run")).groupby("bar")["seconds"].sum()
        axes.barh(
            names,
            [float(seconds.get(name, 0.0)) for name in names],
            left=[left[name] for name in names],
            color=PALETTE[number % len(PALETTE)],
            hatch=HATCHES[number % len(HATCHES)],
            edgecolor="white",
            height=0.62,
            label=phase,
        )
        left = {name: left[name] + float(seconds.get(name, 0.0)) for name in names}
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2)
    return _figure(axes)


def curves(
    frame: "pd.DataFrame",
    x: str,
    y: str,
    *,
    xlabel: str,
    ylabel: str,
    seed: str | None = None,
    hue: str | None = None,
    above: int | None = None,
    axes: "Axes | None" = None,
) -> "Figure":
    """Training curves: every seed thin, the mean over seeds bold.

    Args:
        frame: one row a step (and a seed, and a group).
        x: column of the steps.
        y: column of the values; rows without one are left out.
        xlabel: label of the steps.
        ylabel: label of the values, with their unit.
        seed: column of the seeds, where there are several.
        hue: column of the groups, told apart by colour and line style.
        above: put the legend above the plot, in so many columns; None: inside, where there is room.
        axes: draw here instead of in a new figure.
    """
    import seaborn as sns  # noqa: PLC0415

    axes = axes if axes is not None else _new(3.0)
    rows = frame.dropna(subset=[y])
    groups = list(dict.fromkeys(rows[hue])) if hue else None
    look: dict[str, Any] = {"hue": hue, "hue_order": groups, "palette": list(PALETTE[: len(groups)])} if groups else {}
    plain = {} if groups else {"color": PALETTE[0]}
    if seed:
        sns.lineplot(
            rows,
            x=x,
            y=y,
            units=seed,
            estimator=None,
            linewidth=0.7,
            alpha=0.45,
            legend=False,
            ax=axes,
            **look,
            **plain,
        )
    style = {"style": hue, "style_order": groups} if groups else {}
    sns.lineplot(rows, x=x, y=y, errorbar=None, linewidth=2, ax=axes, **look, **plain, **style)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    if groups:
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": above, "borderaxespad": 0.2}
        axes.legend(title=None, **(place if above else {}))
    return _figure(axes)


def panels(count: int = 2, height: float = 2.8) -> "list[Axes]":
    """Axes side by side in one new figure, for quantities with scales of their own; pass each as ``axes``.

    Args:
        count: how many.
        height: of the figure, in inches.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415

    _, axes = plt.subplots(1, count, figsize=(WIDTH, height), squeeze=False, layout="constrained")
    return list(axes[0])


def _columns(labels: Sequence[str], room: int = 66) -> int:
    """Columns of a legend above the axes: one row where so many letters and handles have room, else as many as fit."""
    if len(labels) <= 6 and sum(len(label) + 5 for label in labels) <= room:
        return max(1, len(labels))
    return max(1, min(6, room // (max(len(label) for label in labels) + 5)))


def _new(height: float) -> "Axes":
    import matplotlib.pyplot as plt  # noqa: PLC0415

    return plt.subplots(figsize=(WIDTH, height))[1]


def _figure(axes: "Axes") -> "Figure":
    figure: Figure = axes.get_figure(root=True)  # type: ignore[assignment]
    return figure
