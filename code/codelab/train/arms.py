"""The stages that every experiment with arms shares: ask a model, judge it, train a unit once, evaluate all alike.

Each stage sees what of it is done, so that a kill at any moment loses at most one chunk of completions or the steps
since a checkpoint: finished chunks, trained models and evaluations are not repeated. The start is evaluated in the same
run, on the same prompts with the same sampling seeds, so that every difference is paired. Not covered: how a unit is
trained, and several devices.
"""

import gc
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from codelab.errors import Paused, UserError
from codelab.evaluate import engines
from codelab.evaluate.collect import Chunk, Judge, collect, missing
from codelab.evaluate.easy import is_one_liner
from codelab.evaluate.engines import Asker
from codelab.evaluate.experiment import final_chunks
from codelab.evaluate.recipe import Model
from codelab.evaluate.report import summarise
from codelab.measure import Meter
from codelab.models.generation import Generator, Sampling
from codelab.models.load import local_folder
from codelab.models.source import ModelSource
from codelab.records import ModelFacts, Run
from codelab.records.files import write_atomic
from codelab.tasks.mbpp import Task
from codelab.train.arms_recipe import ArmsRecipe, Unit
from codelab.train.shelf import Shelf

START = "start"
R = TypeVar("R", bound=ArmsRecipe)
Build = Callable[[Model], tuple[Generator, ModelFacts]]


@dataclass(frozen=True)
class Lab(Generic[R]):
    """A run with its recipe, all tasks by id, the prompt style and the sandbox.

    ``build`` puts a model into an engine; None: the one that the recipe names.
    """

    recipe: R
    run: Run
    tasks: Mapping[int, Task]
    ask: Asker
    judge: Judge
    build: Build | None = None


class Arms(Generic[R]):
    """The shared stages.

    Args:
        lab: the run and its parts.
        asked: tasks of the evaluated split.

    Attributes:
        evaluated: judged samples of each model that was evaluated, by name.
    """

    def __init__(self, lab: Lab[R], asked: Sequence[Task]) -> None:
        self.lab, self.asked = lab, asked
        self.evaluated: dict[str, Shelf] = {}
        self._one_liners = frozenset(task.task_id for task in asked if is_one_liner(task))

    def once(self, unit: Unit, train: Callable[[], str]) -> str:
        """The folder of a trained model; trained now unless this run has done so already.

        Raises:
            Paused: too little of the allowed time is left to begin.
        """
        marker = self.lab.run.work / f"{unit.label}.trained"
        if marker.exists():
            folder = str(json.loads(marker.read_bytes()))
            endings = [end for end in self.lab.recipe.variants(unit.name) if self.unanswered(f"{unit.label}{end}")]
            if all((Path(f"{folder}{end}") / "config.json").exists() for end in endings or [""]):
                return folder
        if self.lab.run.time_is_up(reserve=45):  # loading, setting the trainer up and the first look
            raise Paused
        folder = train()
        write_atomic(marker, json.dumps(folder).encode())
        return folder

    def unanswered(self, name: str) -> bool:
        """Whether a model has questions left to answer."""
        recipe = self.lab.recipe
        shelf = Shelf(self.lab.run, name)
        return bool(missing(final_chunks(recipe.evaluation(recipe.model), self.asked, recipe.temperatures), shelf))

    def evaluate(self, name: str, source: str) -> None:
        """Put the questions to a model and report its scores."""
        with open_engine(self.lab, name, source) as engine:
            self.answer(engine, name, source)
        self.report(name)

    def compete(self, train: Callable[[Unit], str]) -> dict[str, list[dict[str, Any]]]:
        """Evaluate the baselines, then train and evaluate every unit.

        Args:
            train: makes a unit's model, or finds the one that this run has made, and returns its folder; variants lie
                beside it.

        Returns:
            The answers of every evaluated model, by name.
        """
        recipe = self.lab.recipe
        for name, source in recipe.baselines.items():
            self.evaluate(name, source)
        for unit in recipe.units():
            for ending in recipe.variants(unit.name):
                name = f"{unit.label}{ending}"
                if self.unanswered(name):
                    self.evaluate(name, f"path:{train(unit)}{ending}")
                else:  # nothing is loaded; the model itself may have stayed on another machine
                    self.evaluate(name, recipe.model)
        return {name: shelf.samples_so_far() for name, shelf in self.evaluated.items()}

    def answer(self, engine: "Lazy[R]", name: str, source: str) -> None:
        """Put the questions to a model that may be loaded already."""
        recipe = self.lab.recipe
        shelf = self.evaluated.setdefault(name, Shelf(self.lab.run, name))
        chunks = final_chunks(recipe.evaluation(source), self.asked, recipe.temperatures)
        self.collect(engine, "evaluate", shelf, chunks)

    def collect(
        self, engine: "Lazy[R]", phase: str, shelf: Shelf, chunks: Sequence[Chunk], ask: Asker | None = None
    ) -> None:
        """Sample and judge the chunks that are not on the shelf yet, in a phase of the shelf's name."""
        left = missing(chunks, shelf)
        if left:
            loaded = engine.get(left[0].tasks[0])
            with Meter(self.lab.run, shelf.name).phase(phase):
                collect(left, loaded, self.lab.judge, ask or self.lab.ask, shelf)

    def report(self, name: str) -> None:
        """Write a model's scores and its seconds."""
        recipe, shelf = self.lab.recipe, self.evaluated[name]
        summarise(shelf, shelf.samples_so_far(), recipe.questions.split, recipe.k, self._one_liners)
        shelf.phases()


class Lazy(Generic[R]):
    """A model in an engine that is loaded when something is left to ask, and only then."""

    def __init__(self, lab: Lab[R], name: str, source: str) -> None:
        self._lab, self._name, self._source = lab, name, source
        self.loaded: Generator | None = None

    def get(self, first: Task) -> Generator:
        """The engine, warmed up on the first task.

        Raises:
            UserError: weights, packages or device are missing.
        """
        if self.loaded is None:
            recipe, run = self._lab.recipe, self._lab.run
            meter = Meter(variant=self._name)
            with meter.phase("load"):
                answers = recipe.evaluation(self._source).answers
                if self._lab.build is not None:
                    self.loaded, facts = self._lab.build(answers)
                else:
                    self.loaded, facts = engines.build(answers, recipe.backend, recipe.transformers, recipe.vllm)
            with meter.phase("warm-up"):
                self.loaded.generate([self._lab.ask(first)], 1, Sampling(min(8, recipe.max_new_tokens)), 0)
            run.model(facts.model_copy(update={"role": self._name}))
            for phase in meter.phases:
                run.phase(phase.model_copy(update={"gpu_reserved": getattr(self.loaded, "cache_bytes", None)}))
        return self.loaded


@contextmanager
def open_engine(lab: Lab[R], name: str, source: str) -> Iterator[Lazy[R]]:
    """A model that is loaded on demand and whose memory is given back at the end."""
    engine = Lazy(lab, name, source)
    try:
        yield engine
    finally:
        if engine.loaded is not None:
            engine.loaded.close()
            engine.loaded = None
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


def require_weights(key: str, source: str) -> None:
    """Check, before any work, that a local model is there.

    Raises:
        UserError: it is not; names the recipe's key.
    """
    parsed = ModelSource.parse(source)
    if parsed.kind == "path" and not (Path(parsed.name) / "config.json").exists():
        raise UserError(f"recipe: {key}: {source}: expected a folder with config.json, weights and tokenizer")


def tokenizer_of(source: str) -> Any:
    """The tokenizer of a model that need not be loaded."""
    from transformers import AutoTokenizer  # noqa: PLC0415

    parsed = ModelSource.parse(source)
    return AutoTokenizer.from_pretrained(parsed.name if parsed.kind == "hub" else str(local_folder(parsed)))
