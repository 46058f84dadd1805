"""Figures and rows for arms that trade one skill against another, and for memory that was predicted and measured.

Read from records of kind ``adapt`` and ``memory``: their tables ``points``, ``arms``, ``probes`` and ``cells``. Not
covered: any computation beyond means over seeds; what the numbers say is the chapter's.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from codelab.book.style import INK, MUTED, PALETTE, WIDTH

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vPX*<>"


def plane(
    points: "pd.DataFrame",
    *,
    x: str = "gain",
    y: str = "old_rise",
    xlabel: str = "Gain (share of the fall that full fine-tuning reaches)",
    ylabel: str = "Forgetting (bits/byte)",
    axes: "Axes | None" = None,
) -> "Figure":
    """New skill against old skill: a small mark a seed, a large one an arm's mean, a line through each family's means.

    Interpolations with the start are drawn as a dotted line from the trained arm back to the start.

    Args:
        points: a record's table ``points`` (columns ``arm``, ``family``, ``seed``, ``weight`` and the two drawn).
        x: column of the new skill.
        y: column of the old one.
        xlabel: its label.
        ylabel: its label, with its unit.
        axes: draw here instead of in a new figure.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415

    axes = axes if axes is not None else plt.subplots(figsize=(WIDTH, 4.2))[1]
    frame = points.dropna(subset=[x, y])
    start = frame[frame["arm"] == "start"]
    trained = frame[(frame["weight"] == 1) & (frame["arm"] != "start")]
    for number, family in enumerate(dict.fromkeys(trained["family"])):
        those = trained[trained["family"] == family]
        look: dict[str, Any] = {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)]}
        axes.scatter(those[x], those[y], s=14, alpha=0.45, linewidths=0, **look)
        means = those.groupby("arm")[[x, y]].mean().sort_values(x)
        axes.plot(means[x], means[y], linewidth=1.2, markersize=7, markeredgecolor="white", label=family, **look)
        for arm in means.index:
            between = frame[(frame["arm"] == arm) & (frame["arm"] != "start")]
            if between["weight"].nunique() > 1:
                path = between.groupby("weight")[[x, y]].mean().sort_index()
                xs = [*start[x].head(1), *path[x]]
                ys = [*start[y].head(1), *path[y]]
                axes.plot(xs, ys, linestyle=":", marker=".", color=look["color"], label=f"{arm}, interpolated")
    if len(start):
        axes.scatter(start[x].head(1), start[y].head(1), marker="+", s=90, color=INK, zorder=5, label="start")
    axes.axhline(float(start[y].iloc[0]) if len(start) else 0.0, color=MUTED, linewidth=0.7)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(True)
    axes.legend(title=None, fontsize=8, ncols=2)
    return _figure(axes)


def predictions(cells: "pd.DataFrame", *, band: float = 0.1, axes: "Axes | None" = None) -> "Figure":
    """Memory predicted against measured, both on logarithmic axes, with a band around equality.

    Args:
        cells: a record's table ``cells``; cells that were not measured are left out.
        band: half the width of the band, as a share of the measured value.
        axes: draw here instead of in a new figure.

    Raises:
        ValueError: no cell was measured.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415

    frame = cells.dropna(subset=["measured"])
    if frame.empty:
        raise ValueError("no cell was measured")
    axes = axes if axes is not None else plt.subplots(figsize=(WIDTH * 0.75, 4.2))[1]
    both = frame[["measured", "predicted"]].to_numpy(dtype=float)
    ends = np.array([both.min() * 0.8, both.max() * 1.25])
    axes.fill_between(ends / 1e9, ends * (1 - band) / 1e9, ends * (1 + band) / 1e9, color=MUTED, alpha=0.18,
                      label=f"within {band:.0%}")  # fmt: skip
    axes.plot(ends / 1e9, ends / 1e9, color=MUTED, linewidth=1)
    for number, method in enumerate(dict.fromkeys(frame["method"])):
        those = frame[frame["method"] == method]
        for kept, face in ((False, PALETTE[number]), (True, "white")):
            part = those[those["checkpointing"] == kept]
            axes.scatter(part["measured"] / 1e9, part["predicted"] / 1e9, marker=MARKERS[number], s=42, zorder=3,
                         facecolors=face, edgecolors=PALETTE[number],
                         label=f"{method}{', checkpointing' if kept else ''}" if len(part) else None)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="Measured (GB)", ylabel="Predicted (GB)")
    axes.set_xlim(float(ends[0]) / 1e9, float(ends[1]) / 1e9)
    axes.grid(True)
    axes.legend(title=None, fontsize=8)
    return _figure(axes)


def arm_rows(arms: "pd.DataFrame", columns: Sequence[str]) -> list[dict[str, Any]]:
    """A row an arm for a table: each column's mean over seeds, and beside it the spread between them.

    Args:
        arms: a record's table ``arms``.
        columns: quantities in it, ``old_rise`` for example.

    Returns:
        ``arm``, ``family``, each column and ``<column>_spread`` (most minus least over seeds; None for one seed).
    """
    rows = []
    for record in arms.to_dict("records"):
        row: dict[str, Any] = {"arm": record["arm"], "family": record["family"]}
        for name in columns:
            value, least, most = (float(record.get(key, np.nan)) for key in (name, f"{name}_least", f"{name}_most"))
            row[name] = None if np.isnan(value) else value
            row[f"{name}_spread"] = None if np.isnan(value) or record["seeds"] < 2 else most - least
        rows.append(row)
    return rows


def probe_rows(probes: "pd.DataFrame", weight: float = 1.0) -> list[dict[str, Any]]:
    """Accuracy of each arm by kind and form of probe, mean over seeds, and the change from the start.

    Args:
        probes: a record's table ``probes``.
        weight: of the interpolation; the start is shown whatever its weight.
    """
    chosen = probes[(probes["weight"] == weight) | (probes["arm"] == "start")]
    groups = chosen.groupby(["arm", "kind", "form"], sort=False)[["value", "change"]].mean().reset_index()
    return [{str(key): value for key, value in row.items()} for row in groups.to_dict("records")]


def _figure(axes: "Axes") -> "Figure":
    figure: Figure = axes.get_figure(root=True)  # type: ignore[assignment]
    return figure
