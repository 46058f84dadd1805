"""One cell in a process of its own: the caches it may use, its memory over time, and what it answers.

Called through ``run_in_child``. Nothing heavy is imported before the environment is set. Not covered: what is measured
(``sampling``, ``training``).
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codelab.evaluate.engines import Asker
from codelab.measure import Meter
from codelab.measure.timeline import Timeline, thin
from codelab.tasks import mbpp
from codelab.tasks.mbpp import Task
from codelab.train.engines.recipe import Cell, EnginesRecipe

_CACHES = (
    "CUDA_CACHE_PATH",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "UNSLOTH_COMPILE_LOCATION",
    "VLLM_CACHE_ROOT",
)


@dataclass
class Bench:
    """What measuring a cell needs, and what it leaves.

    Attributes:
        recipe: of the run.
        cell: what is measured.
        folder: the model's, with a tokenizer; or a hub's name.
        scratch: a folder for what nobody reads.
        meter: seconds and peaks by phase.
        timeline: memory over time.
        answer: JSON values for the parent.
    """

    recipe: EnginesRecipe
    cell: Cell
    folder: str
    scratch: Path
    meter: Meter
    timeline: Timeline
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The model as a source."""
        return f"path:{self.folder}" if Path(self.folder).is_dir() else f"hub:{self.folder}"

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase of meter and timeline at once."""
        with self.timeline.phase(name), self.meter.phase(name):
            yield

    def tasks(self) -> tuple[list[Task], Asker]:
        """The tasks of the recipe's split, and how they are asked."""
        questions = self.recipe.questions
        everything = mbpp.load(questions.source, verify=False)  # the parent has
        chosen = mbpp.select(everything, questions.split, sanitized=questions.sanitized)[: questions.limit]
        return chosen, Asker(questions.prompt, everything)


def caches(folder: Path) -> dict[str, str]:
    """Environment variables that keep everything that compiling leaves below one folder."""
    return {name: str(folder / name.lower()) for name in _CACHES}


def measure(payload: dict[str, Any]) -> dict[str, Any]:
    """Measure one cell.

    Args:
        payload: ``recipe``, ``cell``, ``folder`` (of the model) and ``caches`` (a folder).

    Returns:
        ``phases``, ``looks`` (memory over time) and what the cell's role adds. A cell that does not fit into the
        device's memory returns ``failed`` too.

    Raises:
        UserError: weights, a package or the device are missing.
    """
    os.environ.update(caches(Path(payload["caches"])))
    recipe, cell = EnginesRecipe.model_validate(payload["recipe"]), Cell.model_validate(payload["cell"])
    with Timeline(recipe.look_seconds) as timeline:
        bench = Bench(
            recipe, cell, payload["folder"], Path(payload["caches"]) / "out", Meter(variant=cell.key), timeline
        )
        try:
            if cell.role == "sample":
                from codelab.train.engines.sampling import measure_sampling as role  # noqa: PLC0415
            else:
                from codelab.train.engines.training import measure_training as role  # noqa: PLC0415
            role(bench)
        except Exception as error:
            if type(error).__name__ != "OutOfMemoryError":
                raise
            bench.answer["failed"] = str(error).splitlines()[0]
    return bench.answer | {
        "phases": [phase.model_dump() for phase in bench.meter.phases],
        "looks": thin(timeline.rows, recipe.looks_kept),
    }


def materialise(payload: dict[str, Any]) -> dict[str, Any]:
    """Write random weights and a byte tokenizer to ``folder``, for engines that read folders; run in a child."""
    from codelab.models.scratch import save  # noqa: PLC0415

    save(payload["name"], Path(payload["folder"]), payload["device"], payload["seed"])
    return {}
