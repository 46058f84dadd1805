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


def test_two_planes_share_the_new_skill_and_one_legend() -> None:
    points = POINTS.assign(chat=1 - POINTS["old_rise"])
    figure = planes.two(points, ("old_rise", "chat"), ("Forgetting", "Chat"))
    above, below = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == ["Forgetting", "Chat"]
    assert (above.get_xlabel(), bool(below.get_xlabel())) == ("", True)
    assert [axes.get_legend() for axes in figure.axes] == [None, None]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "full",
        "full, interpolated",
        "LoRA",
        "start",
    ]
    assert above.get_xlim() == below.get_xlim()


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


ARMS = pd.DataFrame([
    {"arm": "start", "family": None, "seeds": 1, "pass@1": 0.08, "pass@1_least": 0.08, "pass@1_most": 0.08},
    {"arm": "sft", "family": "sft", "seeds": 2, "old_rise": 0.2, "old_rise_least": 0.19, "old_rise_most": 0.21,
     "pass@1": 0.1, "pass@1_least": 0.09, "pass@1_most": 0.11},
])  # fmt: skip


def test_cells_hold_the_mean_and_half_the_distance_between_seeds() -> None:
    names = {"sft": "fine-tuning", "start": "start", "absent": "not run"}
    rows = planes.arm_cells(ARMS, names, {"old_rise": "+.2f", "pass@1": ".1f %", "gain": ".2f"}, {"pass@1": "share"})
    assert rows == [
        {"name": "fine-tuning", "old_rise": "+0.20 ± 0.01", "pass@1": "10.0 ± 1.0", "gain": None},
        {"name": "start", "old_rise": None, "pass@1": "8.0", "gain": None},
    ]


def test_a_change_has_a_sign_only_where_every_seed_says_so() -> None:
    def row(arm: str, seed: int, low: float, high: float) -> dict[str, Any]:
        return {"arm": arm, "seed": seed, "weight": 1.0, "old_rise": (low + high) / 2, "old_rise_low": low,
                "old_rise_high": high}  # fmt: skip

    frame = pd.DataFrame([row("up", 0, 0.1, 0.3), row("up", 1, 0.2, 0.4), row("torn", 0, 0.1, 0.3),
                          row("torn", 1, -0.1, 0.1), row("down", 0, -0.4, -0.2)])  # fmt: skip
    found = planes.changes(frame, "old_rise")
    assert {arm: row["sign"] for arm, row in found.items()} == {"up": 1, "torn": 0, "down": -1}
    assert (found["up"]["low"], found["up"]["high"], found["up"]["value"]) == (0.1, 0.4, pytest.approx(0.25))
    assert planes.changes(frame.drop(columns="old_rise"), "old_rise") == {}


def _between(
    pair: str, quantity: str, ends: tuple[float, float], seeds: tuple[float, ...], unit: str
) -> dict[str, Any]:
    low, high = ends
    return {"pair": pair, "quantity": quantity, "unit": unit, "difference": (low + high) / 2, "low": low, "high": high,
            "seeds": len(seeds) or 1, "seeds_least": min(seeds, default=None), "seeds_most": max(seeds, default=None),
            "verdict": "v"}  # fmt: skip


BETWEEN = pd.DataFrame([
    _between("b", "old_bits", (-0.04, -0.02), (-0.05, -0.01), "bits/byte"),
    _between("b", "pass@1", (0.01, 0.03), (-0.01, 0.05), "share"),
    _between("a", "old_bits", (0.1, 0.3), (), "bits/byte"),
    _between("a", "text_bits", (0.1, 0.3), (0.1, 0.3), "bits/byte"),
    _between("c", "text_bits", (-0.1, 0.3), (0.1, 0.3), "bits/byte"),
])  # fmt: skip


def test_a_comparison_has_a_sign_only_where_rows_and_both_seeds_agree() -> None:
    def sign(pair: str, quantity: str) -> int:
        row = planes.held(BETWEEN, pair, quantity)
        assert row is not None
        return int(row["sign"])

    assert [sign("a", "text_bits"), sign("b", "old_bits")] == [1, -1]
    assert [sign("c", "text_bits"), sign("b", "pass@1"), sign("a", "old_bits")] == [0, 0, 0]
    assert planes.held(BETWEEN, "a", "pass@1") is None
    assert planes.held(pd.DataFrame(), "a", "pass@1") is None


def test_memory_cells_are_named_and_those_that_did_not_fit_stay() -> None:
    cell = {"weights": "float32", "rank": 16, "optimizer": "adamw", "batch": 1, "planned": 1.0, "planned_error": 0.1,
            "error": 0.0, "seconds": 0.5}  # fmt: skip
    frame = pd.DataFrame([
        {**cell, "key": "b.q", "method": "qlora", "checkpointing": True, "optimizer": "paged_adamw8bit",
         "measured": 2.0, "predicted": 2.0},
        {**cell, "key": "b.full", "method": "full", "checkpointing": False, "weights": "bfloat16", "measured": None,
         "predicted": 9.0, "seconds": None},
        {**cell, "key": "c.full", "method": "full", "checkpointing": False, "measured": 1.0, "predicted": 1.0},
    ])  # fmt: skip
    rows = planes.memory_cells(frame, {"b": "8 B"})
    assert [row["method"] for row in rows] == ["QLoRA, rank 16, 8-bit state, checkpointing", "full, all 16 bits"]
    assert (rows[1]["measured"], rows[1]["predicted"], rows[1]["seconds"]) == (None, 9.0, None)
