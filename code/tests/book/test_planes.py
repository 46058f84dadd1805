"""The plane of two skills, memory predicted and measured, and their rows."""

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from codelab.book import planes
from codelab.book.style import styled


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    """The book's look, and no figure left open."""
    with styled():
        yield
        plt.close("all")


def _point(arm: str, place: tuple[int, float], gain: float | None, rise: float, family: str = "") -> dict[str, Any]:
    seed, weight = place
    return {"arm": arm, "family": family or arm, "seed": seed, "weight": weight, "gain": gain, "old_rise": rise}


POINTS = pd.DataFrame([
    {**_point("start", (0, 0.0), 0.0, 0.0), "family": None},
    _point("full", (0, 1.0), 1.0, 0.30), _point("full", (1, 1.0), 1.1, 0.40), _point("full", (0, 0.5), 0.6, 0.1),
    _point("lora-4", (0, 1.0), 0.4, 0.05, "LoRA"), _point("lora-16", (0, 1.0), 0.7, 0.1, "LoRA"),
    _point("broken", (0, 1.0), None, 0.1),
])  # fmt: skip


def _of(values: Any) -> list[float]:
    return [float(value) for value in values]


def test_the_plane_has_a_line_a_family_through_its_means_and_a_path_of_interpolations() -> None:
    axes = planes.plane(POINTS).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert _of(lines["full"].get_xdata()) == [pytest.approx(1.05)]
    assert _of(lines["full"].get_ydata()) == [pytest.approx(0.35)]
    assert _of(lines["LoRA"].get_xdata()) == [0.4, 0.7]
    path = lines["full, interpolated"]
    assert _of(path.get_xdata()) == [0.0, 0.6, pytest.approx(1.05)]
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["full", "full, interpolated", "LoRA", "start"]
    assert "bits/byte" in axes.get_ylabel()


CELLS = pd.DataFrame([
    {"key": "a.full", "method": "full", "checkpointing": False, "measured": 10e9, "predicted": 9.5e9},
    {"key": "a.lora", "method": "lora", "checkpointing": True, "measured": 4e9, "predicted": 4.8e9},
    {"key": "b.full", "method": "full", "checkpointing": False, "measured": None, "predicted": 144e9},
])  # fmt: skip


def test_predictions_stand_beside_what_was_measured_and_nothing_else() -> None:
    axes = planes.predictions(CELLS).axes[0]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    drawn = sorted(tuple(place) for marks in axes.collections[1:] for place in np.asarray(marks.get_offsets()).tolist())
    assert drawn == [(4.0, 4.8), (10.0, 9.5)]
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["within 10%", "full", "lora, checkpointing"]
    with pytest.raises(ValueError, match="no cell"):
        planes.predictions(CELLS.tail(1))


def test_rows_of_arms_carry_the_spread_over_seeds() -> None:
    arms = pd.DataFrame([
        {"arm": "full", "family": "full", "seeds": 2, "gain": 1.0, "gain_least": 0.9, "gain_most": 1.1},
        {"arm": "one", "family": "x", "seeds": 1, "gain": 0.5, "gain_least": 0.5, "gain_most": 0.5},
        {"arm": "none", "family": "x", "seeds": 2, "gain": float("nan")},
    ])  # fmt: skip
    rows = planes.arm_rows(arms, ["gain"])
    assert [row["gain"] for row in rows] == [1.0, 0.5, None]
    assert [row["gain_spread"] for row in rows] == [pytest.approx(0.2), None, None]


def test_rows_of_probes_are_means_over_seeds_of_the_trained_arm() -> None:
    same = {"kind": "sum", "form": "plain"}
    probes = pd.DataFrame([
        {"arm": "start", "seed": 0, "weight": 0.0, "value": 0.5, "change": 0.0, **same},
        {"arm": "full", "seed": 0, "weight": 1.0, "value": 0.2, "change": -0.3, **same},
        {"arm": "full", "seed": 1, "weight": 1.0, "value": 0.4, "change": -0.1, **same},
        {"arm": "full", "seed": 0, "weight": 0.5, "value": 0.9, "change": 0.4, **same},
    ])  # fmt: skip
    rows = planes.probe_rows(probes)
    assert [(row["arm"], row["value"], row["change"]) for row in rows] == [
        ("start", 0.5, 0.0), ("full", pytest.approx(0.3), pytest.approx(-0.2)),
    ]  # fmt: skip
