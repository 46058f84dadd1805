"""Plots of what engines cost: memory over time with the phases named, and seconds by the number of completions.

Each function returns the figure; frames come from ``codelab.book.worked.ch09``. Not covered: bars and differences,
which several chapters share (``codelab.book.figures``).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.style import INK, MUTED, PALE, PALETTE, WIDTH

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_SHADES = ("#ececec", *PALE)  # imports and loading come first and take long: the quietest one
_LINES = ("-", "--", ":", "-.")


def memory_over_time(frame: "pd.DataFrame", ylabel: str = "GPU memory (GB)") -> "Figure":
    """One strip a process, all on the same axes of time and memory; each phase is a shaded stretch with its name.

    Args:
        frame: columns ``name``, ``t`` (seconds), ``phase`` and ``GB``.
        ylabel: of the memory.

    Raises:
        ValueError: nothing to draw.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    names = list(dict.fromkeys(frame["name"]))
    if not names:
        raise ValueError("no memory over time to draw: the record has none of that kind")
    figure, strips = plt.subplots(
        len(names), 1, figsize=(WIDTH, 0.6 + 1.35 * len(names)), sharex=True, sharey=True, layout="constrained"
    )
    phases = list(dict.fromkeys(_plain(phase) for phase in frame["phase"] if phase != "start"))
    top = float(frame["GB"].max()) or 1.0
    for axes, name in zip([strips] if len(names) == 1 else list(strips), names, strict=True):
        mine = frame[frame["name"] == name]
        for phase, begin, end in stretches(mine):
            if phase == "start":
                continue
            axes.axvspan(begin, end, color=_SHADES[phases.index(_plain(phase)) % len(_SHADES)], linewidth=0)
        axes.plot(mine["t"], mine["GB"], color=PALETTE[0], linewidth=1.4)
        axes.set_title(str(name), loc="left", fontsize=9, pad=3)
        axes.set_ylim(0, 1.12 * top)
        axes.grid(True, axis="y")
    last = strips if len(names) == 1 else strips[-1]
    last.set_xlabel("Time since the process began (s)")
    figure.supylabel(ylabel, fontsize=9)
    patches = [Rectangle((0, 0), 1, 1, color=_SHADES[i % len(_SHADES)]) for i in range(len(phases))]
    figure.legend(patches, phases, loc="outside upper left", ncols=min(7, len(phases)), fontsize=8)
    return figure


def stretches(frame: "pd.DataFrame") -> list[tuple[str, float, float]]:
    """Phases of one process with their first and last moment, in order; a phase that comes back is a new stretch."""
    found: list[tuple[str, float, float]] = []
    for phase, moment in zip(frame["phase"], frame["t"], strict=True):
        if found and found[-1][0] == phase:
            found[-1] = (phase, found[-1][1], float(moment))
        else:
            found.append((str(phase), float(moment), float(moment)))
    return found


def seconds_by_count(frame: "pd.DataFrame", marks: Sequence[Mapping[str, Any]] = ()) -> "Figure":
    """Seconds of start and completions by the number of completions, on logarithmic axes; solid where measured.

    Args:
        frame: columns ``name``, ``completions``, ``seconds`` and ``measured``.
        marks: rows with ``completions``, where a slow start is paid; NaN or None is left out.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(WIDTH, 3.2), layout="constrained")
    for number, name in enumerate(dict.fromkeys(frame["name"])):
        mine = frame[frame["name"] == name]
        colour = PALETTE[number % len(PALETTE)]
        axes.plot(mine["completions"], mine["seconds"], color=colour, linestyle=_LINES[number % 4], label=name)
        known = mine[mine["measured"]]
        axes.plot(known["completions"], known["seconds"], "o", color=colour, markersize=4)
    for mark in marks:
        count = mark["completions"]
        if count is not None and count == count:  # noqa: PLR0124 - NaN is the one value unlike itself
            axes.axvline(count, color=MUTED, linewidth=1, linestyle=":")
            axes.annotate(
                f"{mark['start']}: {count:,.0f}", (count, 1), (3, -3), xycoords=("data", "axes fraction"),
                textcoords="offset points", rotation=90, va="top", fontsize=8, color=INK,
            )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="Completions", ylabel="Seconds, start included")
    axes.grid(True)
    axes.legend(title=None, fontsize=8)
    return figure


def _plain(phase: str) -> str:
    """``train`` of ``train 512``: lengths share a colour."""
    return phase.rpartition(" ")[0] if phase.rpartition(" ")[2].isdigit() else phase
