"""Figures and rows for arms that trade one skill against another, and for memory that was predicted and measured.

Read from records of kind ``adapt`` and ``memory``: their tables ``points``, ``arms``, ``between`` and ``cells``.
Not covered: intervals, which the experiment computes, and what the numbers say, which is the chapter's.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from codelab.book.formats import NBSP, show
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


def two(points: "pd.DataFrame", columns: tuple[str, str], labels: tuple[str, str]) -> "Figure":
    """Two planes of one new skill, one above the other, with one legend; see :func:`plane`."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, both = plt.subplots(2, 1, figsize=(WIDTH, 6.4), sharex=True, layout="constrained")
    for axes, column, label in zip(both, columns, labels, strict=True):
        plane(points, y=column, ylabel=label, axes=axes)
        axes.label_outer()
    handles, names = both[0].get_legend_handles_labels()
    for axes in both:
        axes.get_legend().remove()
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=8)
    return _figure(both[0])


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


def arm_cells(
    arms: "pd.DataFrame", names: Mapping[str, str], formats: Mapping[str, str], units: Mapping[str, str] | None = None
) -> list[dict[str, str | None]]:
    """A row an arm as text: each mean over seeds with half the distance between the seeds beside it, ``0.21 ± 0.01``.

    Args:
        arms: a record's table ``arms``.
        names: arms to show, in order, with what the chapter calls them; arms that the record lacks are left out.
        formats: quantities with their format; the unit is left to the heading.
        units: unit of a quantity in the record, where its format converts it (``share``).

    Returns:
        ``name`` and each quantity; None where it was not measured.
    """
    found = {row["arm"]: row for row in arm_rows(arms, [key for key in formats if key in arms])}
    rows = []
    for arm, name in names.items():
        if arm not in found:
            continue
        row: dict[str, str | None] = {"name": name}
        for key, fmt in formats.items():
            value, spread = found[arm].get(key), found[arm].get(f"{key}_spread")
            unit = (units or {}).get(key)
            row[key] = None if value is None else show(value, fmt, unit).partition(NBSP)[0]
            if value is not None and spread is not None:
                row[key] = f"{row[key]} ± {show(spread / 2, fmt.lstrip('+'), unit).partition(NBSP)[0]}"
        rows.append(row)
    return rows


def changes(points: "pd.DataFrame", key: str = "pass@1_change") -> dict[str, dict[str, Any]]:
    """How each trained arm differs from the start, with the intervals of all its seeds.

    Args:
        points: a record's table ``points``.
        key: a column with its interval's ends beside it, paired with the start: ``pass@1_change``, ``old_rise``.

    Returns:
        By arm: ``value`` (mean over seeds), ``low`` and ``high`` (the outermost ends), ``seeds``, and ``sign``: 1 or -1
        where every seed's interval lies on that side of zero, else 0. Arms without the quantity are left out.
    """
    trained = points[(points["weight"] == 1) & (points["arm"] != "start")]
    trained = trained.dropna(subset=[key]) if key in trained else trained.iloc[:0]
    found = {}
    for arm, those in trained.groupby("arm", sort=False):
        low, high = float(those[f"{key}_low"].min()), float(those[f"{key}_high"].max())
        above, below = bool((those[f"{key}_low"] > 0).all()), bool((those[f"{key}_high"] < 0).all())
        found[str(arm)] = {"value": float(those[key].mean()), "low": low, "high": high, "seeds": len(those),
                           "sign": int(above) - int(below)}  # fmt: skip
    return found


def held(between: "pd.DataFrame", pair: str, quantity: str) -> dict[str, Any] | None:
    """One comparison of a record's table ``between``, or None where nothing could be compared.

    Returns:
        The table's row and ``sign``: 1 or -1 where the interval and the differences of at least two seeds all lie on
        that side of zero, else 0.
    """
    found = between[(between["pair"] == pair) & (between["quantity"] == quantity)] if len(between) else between
    if not len(found):
        return None
    row = {str(key): value for key, value in found.iloc[0].items()}
    several = row["seeds"] > 1
    ends = [float(row[key]) for key in ("low", "high", "seeds_least", "seeds_most")] if several else [0.0]
    return row | {"sign": int(min(ends) > 0) - int(max(ends) < 0)}


def apart(row: Mapping[str, Any], fmt: str) -> str:
    """A comparison in short: ``+0.012 (+0.008 to +0.016)``, without its unit."""
    return f"{_number(row, 'difference', fmt)} ({_range(row, ('low', 'high'), fmt)})"


def memory_cells(cells: "pd.DataFrame", models: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row a cell of kind ``memory``, as measured, predicted and timed; sizes in bytes, None where it did not fit.

    Args:
        cells: a record's table ``cells``.
        models: keys of the recipe's models with what the chapter calls them; others are left out.
    """
    methods = {"full": "full", "lora": "LoRA", "qlora": "QLoRA"}
    rows = []
    for cell in cells.astype(object).where(cells.notna(), None).to_dict("records"):
        model = models.get(str(cell["key"]).partition(".")[0])
        if model is None:
            continue
        more = f", rank {cell['rank']}" if cell["method"] != "full" else ""
        more += ", all 16 bits" if cell["method"] == "full" and cell["weights"] == "bfloat16" else ""
        more += ", 8-bit state" if cell["optimizer"] == "paged_adamw8bit" else ""
        more += ", checkpointing" if cell["checkpointing"] else ""
        kept = {key: cell.get(key) for key in ("measured", "predicted", "planned", "error", "planned_error", "seconds")}
        rows.append({"model": model, "method": f"{methods[cell['method']]}{more}", "batch": cell["batch"], **kept})
    return rows


def _number(row: Mapping[str, Any], key: str, fmt: str) -> str:
    return show(float(row[key]), fmt, str(row["unit"])).partition(NBSP)[0]


def _range(row: Mapping[str, Any], ends: tuple[str, str], fmt: str) -> str:
    return " to ".join(_number(row, end, fmt) for end in ends)


def _figure(axes: "Axes") -> "Figure":
    figure: Figure = axes.get_figure(root=True)  # type: ignore[assignment]
    return figure
