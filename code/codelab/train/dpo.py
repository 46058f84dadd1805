"""The experiment of kind ``dpo``: sample a fine-tuned model, judge, pair, train each arm and seed, evaluate all.

The start is evaluated inside the same run, on the same prompts with the same sampling seeds, so that every difference
is paired. A kill at any moment loses at most one chunk of completions or the steps since a checkpoint: sampled chunks,
verdicts, trained models and finished evaluations are not repeated. The phases ``generate`` and ``execute`` are summed
over chunks and cover every process of a continued run; the others cover the last process that worked on them. Not
covered: several devices, and pairs drawn anew from the policy while it trains.
"""

import gc
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from codelab.errors import Paused
from codelab.evaluate import engines
from codelab.evaluate.collect import Chunk, collect, missing
from codelab.evaluate.easy import is_one_liner
from codelab.evaluate.engines import Asker
from codelab.evaluate.experiment import final_chunks, sandbox
from codelab.evaluate.report import setting_name, summarise
from codelab.measure import Meter
from codelab.models.generation import Generator, Sampling
from codelab.models.load import local_folder
from codelab.models.source import ModelSource
from codelab.records import Run
from codelab.records.files import write_atomic
from codelab.tasks import mbpp
from codelab.tasks.mbpp import Task
from codelab.train import candidates as made
from codelab.train.dpo_data import Lab
from codelab.train.dpo_recipe import DpoRecipe, Unit
from codelab.train.dpo_report import compare, conditions
from codelab.train.pairs import Pair, make_pairs, table, usable
from codelab.train.shelf import Shelf, unload
from codelab.train.trainers import prepare

RECIPE = DpoRecipe
START, PAIRS = "start", "pairs"


def run(recipe: DpoRecipe, run: Run) -> None:
    """Run the experiment; see :class:`~codelab.train.dpo_recipe.DpoRecipe`.

    Raises:
        UserError: data, weights, packages or device are missing, or no pair can be made.
        Paused: the time that the command was allowed is over.
    """
    prepare(recipe.trainer)
    engines.require(recipe.backend)
    everything = mbpp.load(recipe.questions.source)
    run.data(mbpp.facts(recipe.questions.source))
    asked = engines.questions_asked(recipe.questions)
    meter = Meter()
    with sandbox(recipe.judging, everything, meter) as pool:
        ask = Asker(recipe.questions.prompt, everything)
        lab = Lab(recipe, run, {task.task_id: task for task in everything}, ask, pool.judge)
        experiment = _Experiment(lab, asked)
        pairs = experiment.start(trained_on(recipe, everything))
        for phase in meter.phases:  # only now: a model that cannot be loaded must leave no run behind
            run.phase(phase)
        for name, source in recipe.baselines.items():
            experiment.evaluate(name, source)
        for unit in recipe.units():
            if experiment.unanswered(unit.label):
                experiment.evaluate(unit.label, f"path:{experiment.train(unit, pairs)}")
            else:  # nothing is loaded; the model itself may have stayed on another machine
                experiment.evaluate(unit.label, recipe.model)
        for note in pool.report.notes():
            run.note(note)
    compare(recipe, run, {name: shelf.samples_so_far() for name, shelf in experiment.evaluated.items()}, START)
    run.table("conditions", conditions(recipe, len(asked), ask))
    unload(run, [experiment.drawn, *experiment.evaluated.values()])
    for pair in pairs:
        run.sample(
            variant="pair", task_id=pair.chosen.task_id, chosen=pair.chosen.program, chosen_source=pair.chosen.source,
            rejected=pair.rejected.program, rejected_source=pair.rejected.source, failure=pair.rejected.failure,
        )  # fmt: skip


def trained_on(recipe: DpoRecipe, everything: Sequence[Task]) -> list[Task]:
    """The tasks that pairs are made of."""
    return [task for split in recipe.pairs.splits for task in usable(everything, (split,))[: recipe.drawn.limit]]


def drawn_chunks(recipe: DpoRecipe, tasks: Sequence[Task]) -> list[Chunk]:
    """What is asked of the start for pairs, split by split."""
    sampling = Sampling(recipe.max_new_tokens, recipe.drawn.temperature, recipe.drawn.top_p)
    chunks: list[Chunk] = []
    for split in recipe.pairs.splits:
        part = tuple(task for task in tasks if task.split == split)
        if part:
            name = setting_name(recipe.drawn.temperature)
            whole = Chunk(split, name, recipe.seeds[0], sampling, recipe.drawn.samples, part)
            chunks += whole.cut(recipe.chunk_tasks)
    return chunks


class _Experiment:
    """The stages, each of which sees what of it is done."""

    def __init__(self, lab: Lab, asked: Sequence[Task]) -> None:
        self.lab, self.asked = lab, asked
        self.drawn = Shelf(lab.run, PAIRS)
        self.evaluated: dict[str, Shelf] = {}
        self._one_liners = frozenset(task.task_id for task in asked if is_one_liner(task))

    def start(self, tasks: Sequence[Task]) -> list[Pair]:
        """Sample the start for pairs, evaluate it with the same engine, and make the pairs."""
        recipe, run = self.lab.recipe, self.lab.run
        with _open(self.lab, START, recipe.model) as engine:
            self._collect(engine, "sample", self.drawn, drawn_chunks(recipe, tasks))
            self._answer(engine, START, recipe.model)
        self.drawn.phases()
        self._report(START)
        by_id = {task.task_id: task for task in tasks}
        found = made.own(self.drawn.samples_so_far(), by_id, self.lab.ask)
        with Meter(run, "mutants").phase("execute"):
            found += made.judged(tasks, recipe.mutants, recipe.seeds[0], self.lab.judge, run.work / "references.json")
        run.table("candidates", made.summary(found))
        tokenizer = _tokenizer(recipe.model)
        pairs = make_pairs(
            found,
            recipe.pairs,
            lambda program: len(tokenizer(program, add_special_tokens=False)["input_ids"]),
            recipe.seeds[0],
        )
        rows = table(pairs)
        run.table("pairs", rows)
        run.metric("pairs", len(pairs), unit="pairs")
        run.metric("pairs.tasks", rows[-1]["tasks"], n=len(tasks), unit="tasks")
        run.metric("pairs.length_difference", rows[-1]["difference"], n=len(pairs), unit="tokens")
        run.metric("pairs.rejected_longer", rows[-1]["rejected_longer"], n=len(pairs), unit="share")
        return pairs

    def train(self, unit: Unit, pairs: Sequence[Pair]) -> str:
        """The folder of a trained model; trained now unless this run has done so already."""
        marker = self.lab.run.work / f"{unit.label}.trained"
        if marker.exists():
            folder = str(json.loads(marker.read_bytes()))
            if (Path(folder) / "config.json").exists():
                return folder
        if self.lab.run.time_is_up(reserve=45):  # loading, the reference's log-probabilities and the first look
            raise Paused
        from codelab.train.dpo_loop import train_unit  # noqa: PLC0415 - needs torch

        folder = train_unit(self.lab, unit, pairs)
        write_atomic(marker, json.dumps(folder).encode())
        return folder

    def unanswered(self, name: str) -> bool:
        """Whether a model has questions left to answer."""
        recipe = self.lab.recipe
        shelf = Shelf(self.lab.run, name)
        return bool(missing(final_chunks(recipe.evaluation(recipe.model), self.asked, recipe.temperatures), shelf))

    def evaluate(self, name: str, source: str) -> None:
        """Put the questions to a model and report its scores."""
        with _open(self.lab, name, source) as engine:
            self._answer(engine, name, source)
        self._report(name)

    def _answer(self, engine: "_Lazy", name: str, source: str) -> None:
        recipe = self.lab.recipe
        shelf = self.evaluated.setdefault(name, Shelf(self.lab.run, name))
        chunks = final_chunks(recipe.evaluation(source), self.asked, recipe.temperatures)
        self._collect(engine, "evaluate", shelf, chunks)

    def _collect(self, engine: "_Lazy", phase: str, shelf: Shelf, chunks: Sequence[Chunk]) -> None:
        left = missing(chunks, shelf)
        if left:
            loaded = engine.get(left[0].tasks[0])
            with Meter(self.lab.run, shelf.name).phase(phase):
                collect(left, loaded, self.lab.judge, self.lab.ask, shelf)

    def _report(self, name: str) -> None:
        recipe, shelf = self.lab.recipe, self.evaluated[name]
        summarise(shelf, shelf.samples_so_far(), recipe.questions.split, recipe.k, self._one_liners)
        shelf.phases()


class _Lazy:
    """A model in an engine that is loaded when something is left to ask, and only then."""

    def __init__(self, lab: Lab, name: str, source: str) -> None:
        self._lab, self._name, self._source = lab, name, source
        self.loaded: Generator | None = None

    def get(self, first: Task) -> Generator:
        if self.loaded is None:
            recipe, run = self._lab.recipe, self._lab.run
            meter = Meter(variant=self._name)
            with meter.phase("load"):
                answers = recipe.evaluation(self._source).answers
                self.loaded, facts = engines.build(answers, recipe.backend, recipe.transformers, recipe.vllm)
            with meter.phase("warm-up"):
                self.loaded.generate([self._lab.ask(first)], 1, Sampling(min(8, recipe.max_new_tokens)), 0)
            run.model(facts.model_copy(update={"role": self._name}))
            for phase in meter.phases:
                run.phase(phase.model_copy(update={"gpu_reserved": getattr(self.loaded, "cache_bytes", None)}))
        return self.loaded


@contextmanager
def _open(lab: Lab, name: str, source: str) -> Iterator[_Lazy]:
    engine = _Lazy(lab, name, source)
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


def _tokenizer(source: str) -> Any:
    from transformers import AutoTokenizer  # noqa: PLC0415

    parsed = ModelSource.parse(source)
    return AutoTokenizer.from_pretrained(parsed.name if parsed.kind == "hub" else str(local_folder(parsed)))
