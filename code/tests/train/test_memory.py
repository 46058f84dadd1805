"""Kind ``memory``: every cell measured in its own process, predictions in the record, cells that do not fit."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from codelab.cli.registry import load
from codelab.measure.estimate import SHAPES
from codelab.records import Run, open_run, read_record
from codelab.train import memory
from codelab.train.memory import MemoryRecipe
from codelab.train.memory_cell import predict, shape_of

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
CELL = {"name": "full", "method": "full", "batch": 1}
TINY = {"tiny": {"model": "scratch:tiny-llama", "cells": [CELL, {**CELL, "name": "lora", "method": "lora", "rank": 2}]}}


def _values(**changes: Any) -> dict[str, Any]:
    return {"kind": "memory", "title": "t", "hardware": {"minutes": 1}, "models": TINY, "sequence": 16,
            "steps": 3} | changes  # fmt: skip


def _open(recipe: Any, results: Path) -> Run:
    from codelab.measure import environment

    opened = open_run(recipe, "q2-test", results, ["codelab"])
    opened.environment(environment.facts(), None)
    return opened


@pytest.mark.slow
def test_the_tiny_recipe_on_this_machine(tmp_path: Path) -> None:
    recipe = MemoryRecipe.model_validate(_values())
    opened = _open(recipe, tmp_path)
    memory.run(recipe, opened)
    record = read_record(opened.finish())
    assert record.state == "ok"
    rows = {row["key"]: row for row in record.tables["cells"]}
    assert set(rows) == {"tiny.full", "tiny.lora"}
    # 2 layers x 2 x (sum of inputs and outputs of seven linear layers of the tiny shape)
    assert rows["tiny.lora"]["trainable"] == 2 * 2 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128))
    assert rows["tiny.full"]["trainable"] == record.models[0].parameters
    assert 0 < (record.metrics["tiny.full.step_seconds"].low or 0) <= record.metrics["tiny.full.step_seconds"].value
    assert record.metrics["tiny.full.predicted"].value > record.metrics["tiny.lora.predicted"].value


def test_measured_cells_give_an_error_and_others_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def child(target: str, payload: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
        asked.append(payload["key"])
        fits = payload["key"].endswith("full")
        return {
            "key": payload["key"], "measured": 100 if fits else None, "predicted": 90, "planned": 130, "moment": "loss",
            "seconds": 2.0, "seconds_least": 1.0, "seconds_most": 3.0, "tokens": 8, "failed": None if fits else "full",
            "phases": [], "facts": {"role": "m", "source": "scratch:tiny-llama"}, "parts": {"weights": 1},
            "moments": {"loss": 90},
        }  # fmt: skip

    monkeypatch.setattr(memory, "run_in_child", child)
    recipe = MemoryRecipe.model_validate(_values())
    opened = _open(recipe, tmp_path)
    memory.run(recipe, opened)
    memory.run(recipe, opened)  # nothing is measured twice
    assert asked == ["tiny.full", "tiny.lora"]
    record = read_record(opened.finish())
    assert record.metrics["tiny.full.error"].value == pytest.approx(-0.1)
    assert record.metrics["error.largest"].value == pytest.approx(0.1)
    assert record.metrics["tiny.full.tokens_per_second"].value == 4
    assert "tiny.lora.step_seconds" not in record.metrics
    assert any("tiny.lora: did not fit" in note for note in record.notes)


def test_shapes_are_those_of_the_configurations() -> None:
    assert shape_of("scratch:llama-8b").parameters == 8_030_261_248
    assert shape_of("scratch:llama-1b").parameters == 1_235_814_400
    assert shape_of("scratch:llama-1b").tied


def test_a_prediction_in_32_bits_is_sixteen_bytes_a_parameter_and_more() -> None:
    cell = memory.Cell.model_validate({**CELL, "checkpointing": True}).model_dump()
    shape = SHAPES["llama-2-7b"]
    states = 16 * shape.parameters
    assert states < predict(shape, cell, 128)["predicted"] < 1.1 * states


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"models": {}}, "at least 1"),
        ({"models": {"g": {"model": "scratch:gpt2", "cells": [CELL]}}}, "Llama"),
        ({"models": {"t": {"model": "scratch:tiny-llama", "cells": [CELL, CELL]}}}, "differ"),
        ({"steps": 1}, "greater"),
    ],
)
def test_impossible_recipes_are_refused(change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        MemoryRecipe.model_validate(_values(**change))


@pytest.mark.parametrize("name", ["q2-memory", "q2-memory-tiny-cpu"])
def test_shipped_recipes_are_valid(name: str) -> None:
    recipe = load(RECIPES / f"{name}.yaml").recipe
    assert isinstance(recipe, MemoryRecipe)
    for _, grid, cell in recipe.jobs():
        assert predict(shape_of("scratch:llama-1b"), cell.model_dump(), recipe.sequence)["predicted"] > 0, grid
