"""The experiment of kind ``memory``: what a training step takes on the device, measured, and predicted beforehand.

Each cell (a model, a method, a batch) has a process of its own, so that nothing of one is left in another; a cell
that does not fit is recorded as such. Predictions are those of :func:`codelab.measure.peak.step_peak` and, beside it,
the sum of all parts that :func:`codelab.measure.estimate.training_memory` gives for planning. Data are random tokens:
memory and time do not depend on them. Not covered: what is learnt (kind ``adapt``).
"""

import json
import sys
from typing import Any, Literal

from pydantic import Field, model_validator

from codelab.errors import Paused
from codelab.measure import run_in_child
from codelab.models.source import ModelSource
from codelab.records import ModelFacts, Phase, Recipe, Run, Strict
from codelab.records.files import write_atomic

Layer = Literal["q", "k", "v", "o", "gate", "up", "down"]
_TARGETS: tuple[Layer, ...] = ("q", "k", "v", "o", "gate", "up", "down")


class Cell(Strict):
    """One way of training one model; see :class:`codelab.measure.peak.Step`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    method: Literal["full", "lora", "qlora"]
    weights: Literal["float32", "bfloat16"] = "float32"
    rank: int = Field(default=16, gt=0)
    targets: tuple[Layer, ...] = _TARGETS
    double_quantisation: bool = True
    optimizer: Literal["adamw", "paged_adamw32bit", "paged_adamw8bit"] = "adamw"
    checkpointing: bool = False
    batch: int = Field(gt=0)


class Grid(Strict):
    """One model and its cells."""

    model: str
    cells: tuple[Cell, ...] = Field(min_length=1)


class MemoryRecipe(Recipe):
    """Peak memory and seconds a step of several ways of training."""

    kind: Literal["memory"]
    models: dict[str, Grid] = Field(min_length=1)
    sequence: int = Field(default=1024, ge=1)
    steps: int = Field(default=8, ge=3, description="timed steps, after two that are not")
    rate: float = Field(default=1e-5, gt=0)
    device: str = "auto"
    cell_minutes: float = Field(default=5, gt=0, description="after which a cell's process is ended")

    @model_validator(mode="after")
    def _possible(self) -> "MemoryRecipe":
        for name, grid in self.models.items():
            ModelSource.parse(grid.model)
            if len({cell.name for cell in grid.cells}) < len(grid.cells):
                raise ValueError(f"models.{name}: names of cells must differ")
            if "gpt2" in grid.model:
                raise ValueError(f"models.{name}: the prediction is of Llama-shaped models")
        return self

    def jobs(self) -> list[tuple[str, Grid, Cell]]:
        """Key, grid and cell of each process."""
        return [(f"{name}.{cell.name}", grid, cell) for name, grid in self.models.items() for cell in grid.cells]


RECIPE = MemoryRecipe


def run(recipe: MemoryRecipe, run: Run) -> None:
    """Measure every cell that has no answer yet, then write metrics and tables.

    Raises:
        UserError: weights, packages or device are missing.
        Paused: the allowed time is over.
    """
    answers = []
    for number, (key, grid, cell) in enumerate(recipe.jobs(), start=1):
        kept = run.work / f"{key}.json"
        if not kept.exists():
            if run.time_is_up(reserve=60):
                raise Paused
            print(f"{number}/{len(recipe.jobs())} {key}: {grid.model}", file=sys.stderr, flush=True)
            answer = run_in_child(
                "codelab.train.memory_cell:measure_cell",
                {"key": key, "source": grid.model, "cell": cell.model_dump(), "sequence": recipe.sequence,
                 "steps": recipe.steps, "rate": recipe.rate, "device": recipe.device, "seed": recipe.seeds[0]},
                timeout=60 * recipe.cell_minutes,
            )  # fmt: skip
            write_atomic(kept, json.dumps(answer).encode())
        answers.append(json.loads(kept.read_bytes()))
        for phase in answers[-1]["phases"]:
            run.phase(Phase.model_validate(phase))
        run.model(ModelFacts.model_validate(answers[-1]["facts"]))
    write(run, answers)


def write(run: Run, answers: list[dict[str, Any]]) -> None:
    """Metrics ``<cell>.…``, the tables ``cells`` and ``parts``, and the spread of the error over all cells that fit."""
    rows = [{key: value for key, value in answer.items() if key not in {"phases", "facts", "parts", "moments"}}
            for answer in answers]  # fmt: skip
    errors = []
    for row in rows:
        key, measured = row["key"], row["measured"]
        run.metric(f"{key}.predicted", row["predicted"], unit="bytes", method="measure.peak.step_peak")
        run.metric(f"{key}.planned", row["planned"], unit="bytes", method="measure.estimate.training_memory")
        row["error"] = (row["predicted"] - measured) / measured if measured else None
        row["planned_error"] = (row["planned"] - measured) / measured if measured else None
        if row["failed"]:
            run.note(f"{key}: did not fit into the device's memory ({row['failed']})")
            continue
        run.metric(
            f"{key}.step_seconds", row["seconds"], low=row["seconds_least"], high=row["seconds_most"], unit="s",
            method="median; low and high are the extremes",
        )  # fmt: skip
        run.metric(f"{key}.tokens_per_second", row["tokens"] / row["seconds"], unit="tokens/s")
        if measured:
            errors.append(row["error"])
            run.metric(f"{key}.measured", measured, unit="bytes", method="peak of torch's CUDA allocator in a step")
            run.metric(f"{key}.error", row["error"], unit="share", method="(predicted - measured) / measured")
    if errors:
        run.metric("error.largest", max(map(abs, errors)), n=len(errors), unit="share")
        run.metric("error.mean", sum(map(abs, errors)) / len(errors), n=len(errors), unit="share")
    run.table("cells", rows)
    run.table("parts", [{"key": answer["key"], **answer["parts"]} for answer in answers])
    run.table("moments", [{"key": answer["key"], **answer["moments"]} for answer in answers])
