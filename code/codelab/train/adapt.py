"""The experiment of kind ``adapt``: one start, several ways of training it further, one plane of new against old skill.

Each arm is trained with each seed under the same budget, and measured as it lies in memory: bits per byte of held-out
domain and old text, bits per byte of MBPP's validation solutions, probes of a general skill, and MBPP's test tasks
where the recipe asks. Interpolations with the start cost no training and are measured in the same way. The start is
measured first, so that every difference is paired. A kill at any moment loses at most the steps since a checkpoint,
one set of losses or one chunk of completions. Not covered: several devices, and answers through vLLM, whose start
would take longer than all answers of a small model here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codelab.errors import Paused, UserError
from codelab.evaluate import engines
from codelab.evaluate.collect import Chunk, Judge, collect, missing
from codelab.evaluate.engines import Asker
from codelab.evaluate.experiment import sandbox
from codelab.evaluate.report import setting_name
from codelab.measure import Meter
from codelab.models.generation import Generator, Sampling
from codelab.records import DataFacts, Run
from codelab.records.files import append_line, read_lines
from codelab.tasks import mbpp
from codelab.tasks.mbpp import Task
from codelab.train import adapt_report
from codelab.train.adapt_recipe import START, AdaptRecipe, point_name
from codelab.train.arms_recipe import Unit
from codelab.train.sft import MIXED_UP, pairs, solved
from codelab.train.shelf import Shelf, unload
from codelab.train.tokens import TokenFolder, open_tokens

RECIPE = AdaptRecipe
POINTS = "points.jsonl"


def run(recipe: AdaptRecipe, run: Run) -> None:
    """Run the experiment; see :class:`~codelab.train.adapt_recipe.AdaptRecipe`.

    Raises:
        UserError: text, probes, weights or data are missing.
        Paused: the allowed time is over.
    """
    engines.require("transformers")
    text, old = (_open(run, name, folder) for name, folder in (("text", recipe.text), ("old", recipe.old)))
    probes = Path(recipe.old) / "probes.jsonl"
    if not probes.exists():
        raise UserError(f"{probes}: missing; make it with: codelab corpus general, then codelab corpus tokenize-for")
    run.data(DataFacts.of_file("probes", probes))
    everything = mbpp.load(recipe.questions.source)
    run.data(mbpp.facts(recipe.questions.source))
    asked = engines.questions_asked(recipe.questions)
    learnt = pairs(recipe, run) if any(s.data == "pairs" for arm in recipe.arms.values() for s in arm.stages) else []
    validation = [task for task in mbpp.select(everything, "validation") if task.task_id not in MIXED_UP]
    validation = validation[: recipe.measures.completions]
    meter = Meter()
    with sandbox(recipe.judging, everything, meter) as pool:
        from codelab.train.adapt_models import Workshop  # noqa: PLC0415 - needs torch

        ask = Asker(recipe.questions.prompt, everything)
        workshop = Workshop(recipe, run, (text, old), (learnt, solved(validation, recipe.mix.style, everything)))
        experiment = _Experiment(recipe, run, workshop, _Questions(asked, ask, pool.judge))
        experiment.start()
        for phase in meter.phases:  # only now: a model that cannot be loaded must leave no run behind
            run.phase(phase)
        for unit in recipe.units():
            experiment.unit(unit)
        for note in pool.report.notes():
            run.note(note)
    adapt_report.write(recipe, run, experiment.points(), experiment.samples(), ask.style)
    unload(run, list(experiment.shelves.values()))


@dataclass(frozen=True)
class _Questions:
    """Tasks to answer, how they are put, and who judges."""

    asked: Sequence[Task]
    ask: Asker
    judge: Judge


class _Experiment:
    """What is done so far of a run, and the next piece of it."""

    def __init__(self, recipe: AdaptRecipe, run: Run, workshop: Any, questions: "_Questions") -> None:
        self.recipe, self.run, self.workshop, self.questions = recipe, run, workshop, questions
        self.shelves: dict[str, Shelf] = {}

    def start(self) -> None:
        """Measure the start; it answers where an arm does."""
        judged = self.recipe.answers(START)
        if not self._done(START, judged):
            self.workshop.load_start()
            self._measure(START, {"arm": START, "seed": self.recipe.seeds[0], "weight": 0.0}, judged)

    def unit(self, unit: Unit) -> None:
        """Train one arm with one seed and measure it and its interpolations, as far as that is not done."""
        arm = self.recipe.arms[unit.name]
        # Trained weights first: they are what the interpolations' metrics are read against.
        places = [(weight, point_name(unit.label, weight)) for weight in (1.0, *sorted(arm.interpolate, reverse=True))]
        left = [(weight, name) for weight, name in places if not self._done(name, arm.answers(weight))]
        if not left:
            return
        if self.run.time_is_up(reserve=30):
            raise Paused
        facts = self.workshop.train(unit)
        for weight, name in left:
            self.workshop.set_weight(weight)
            row = {"arm": unit.name, "seed": unit.seed, "weight": weight, "family": arm.family or unit.name}
            self._measure(name, row | facts, arm.answers(weight))
        self.workshop.forget(unit)

    def points(self) -> list[dict[str, Any]]:
        """Losses and probes of every point, in the order in which they were measured."""
        return read_lines(self.run.work / POINTS)

    def samples(self) -> dict[str, list[dict[str, Any]]]:
        """Judged completions of every point that has some."""
        return {name: shelf.samples_so_far() for name, shelf in self.shelves.items()}

    def _measure(self, name: str, row: dict[str, Any], judged: bool) -> None:
        if name not in {point["name"] for point in self.points()}:
            meter = Meter(self.run, name)
            with meter.phase("measure"):
                measured = self.workshop.losses()
            append_line(self.run.work / POINTS, {"name": name} | row | measured)
        if judged and (left := missing(self._chunks(), self._shelf(name))):
            with self.workshop.generator() as engine:
                self._answer(engine, left, name)

    def _answer(self, engine: Generator, left: list[Chunk], name: str) -> None:
        with Meter(self.run, name).phase("answer"):
            collect(left, engine, self.questions.judge, self.questions.ask, self._shelf(name))
        self._shelf(name).phases()

    def _done(self, name: str, judged: bool) -> bool:
        measured = name in {point["name"] for point in self.points()}
        return measured and not (judged and missing(self._chunks(), self._shelf(name)))

    def _shelf(self, name: str) -> Shelf:
        return self.shelves.setdefault(name, Shelf(self.run, name))

    def _chunks(self) -> list[Chunk]:
        recipe = self.recipe
        sampling = Sampling(recipe.max_new_tokens, recipe.temperature, recipe.top_p)
        whole = Chunk(
            recipe.questions.split, setting_name(recipe.temperature), recipe.seeds[0], sampling, recipe.samples,
            tuple(self.questions.asked),
        )  # fmt: skip
        return [whole]


def _open(run: Run, name: str, folder: str) -> TokenFolder:
    opened = open_tokens(Path(folder))
    run.data(DataFacts.of_file(name, Path(folder) / "meta.json", opened.train.tokens, folders=1))
    return opened
