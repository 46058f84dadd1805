"""The experiment of kind ``grpo``: gather prompts, choose by a pass of the start, train arms and seeds, evaluate all.

The start, the baselines and every trained model answer the same questions in the same run (``codelab.train.arms``).
Prompts may show fewer tests in training than in the evaluation. Not covered: several devices.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace

from codelab.evaluate import engines
from codelab.evaluate.engines import Asker
from codelab.evaluate.experiment import sandbox
from codelab.measure import Meter
from codelab.records import Run
from codelab.sandbox import Pool
from codelab.tasks import mbpp
from codelab.tasks.mbpp import Task
from codelab.train import prompt_pool
from codelab.train.arms import START, Arms, Lab, open_engine, require_weights
from codelab.train.arms_recipe import Unit
from codelab.train.colocate import Colocated
from codelab.train.dpo_report import compare, conditions, rivals
from codelab.train.grpo_recipe import GrpoRecipe
from codelab.train.grpo_report import hacking
from codelab.train.shelf import Shelf, unload
from codelab.train.trainers import prepare

RECIPE = GrpoRecipe
POOL = "pool"
UNSLOTH = {
    "UNSLOTH_RETURN_LOGITS": "0",  # its loss reads hidden states: logits of every place would be made for nothing
    "UNSLOTH_GRPO_SEQ_PACKING": "0",  # why: codelab.train.grpo_unsloth
    "UNSLOTH_GRPO_PREFIX_GROUPER": "0",
}
"""What is set before unsloth is imported for GRPO, whatever the environment says: its loss is looked at row by row."""


def run(recipe: GrpoRecipe, run: Run) -> None:
    """Run the experiment; see :class:`~codelab.train.grpo_recipe.GrpoRecipe`.

    Raises:
        UserError: data, weights, packages or device are missing, or no prompt is left.
        Paused: the time that the command was allowed is over.
    """
    if recipe.trainer == "unsloth":
        os.environ |= UNSLOTH
    prepare(recipe.trainer)
    engines.require(recipe.backend)
    if recipe.training.vllm == "colocate":
        engines.require("vllm")
    everything = mbpp.load(recipe.questions.source)
    run.data(mbpp.facts(recipe.questions.source))
    asked = engines.questions_asked(recipe.questions)
    meter = Meter()
    with meter.phase("prompts"), Pool(recipe.judging.workers) as first:
        tasks = prompt_pool.gather(recipe, run, everything, first.judge)
    engine = Colocated(recipe)
    judged = [*everything, *(task for task in tasks if not task.split)]
    with sandbox(recipe.judging, judged, meter) as pool, contextlib.closing(engine):
        lab = Lab(
            recipe, run, {task.task_id: task for task in everything}, Asker(recipe.questions.prompt, everything),
            pool.judge, engine.build if recipe.training.share_engine else None,
        )  # fmt: skip
        experiment = _Experiment(lab, asked, engine)
        chosen = experiment.start(tasks)
        for phase in meter.phases:  # only now: a model that cannot be loaded must leave no run behind
            run.phase(phase)
        rows = experiment.compete(lambda unit: experiment.train(unit, chosen))
        for note in pool.report.notes():
            run.note(note)
    compare(recipe, run, rows, START)
    rivals(recipe, run, rows)
    hacking(run, rows, lab.tasks, lab.ask)
    run.table("conditions", conditions(recipe, len(asked), lab.ask))
    kept = [Shelf(run, f"{unit.label}.train") for unit in recipe.units()]
    unload(run, [experiment.drawn, *experiment.evaluated.values(), *kept])


class _Experiment(Arms[GrpoRecipe]):
    """The shared stages, and the choice of prompts before them."""

    def __init__(self, lab: Lab[GrpoRecipe], asked: Sequence[Task], engine: Colocated) -> None:
        super().__init__(lab, asked)
        self.drawn = Shelf(lab.run, POOL)
        self._engine = engine
        self._ask = Asker(lab.recipe.questions.prompt, list(lab.tasks.values()))
        self._ask.style = replace(self._ask.style, tests=lab.recipe.prompts.shown)

    def start(self, tasks: Sequence[Task]) -> list[Task]:
        """Sample the start to choose prompts, evaluate it with the same engine, and choose."""
        recipe, run = self.lab.recipe, self.lab.run
        for name, source in recipe.baselines.items():
            if self.unanswered(name):  # now, not after the training
                require_weights(f"baselines.{name}", source)
        with open_engine(self.lab, START, recipe.model) as engine:
            self.collect(engine, "sample", self.drawn, prompt_pool.chunks(recipe, tasks), self._ask)
            self.answer(engine, START, recipe.model)
        self.report(START)
        if recipe.prompts.filter is None:
            run.metric("prompts", len(tasks), unit="prompts")
            return list(tasks)
        self.drawn.phases()
        stats = prompt_pool.measure(recipe, tasks, self.drawn.samples_so_far(), self._ask)
        chosen = prompt_pool.choose(recipe, stats)
        run.table("pool", prompt_pool.summary(stats, chosen))
        run.metric("prompts", len(chosen), n=len(tasks), unit="prompts")
        run.metric("prompts.tasks", len({task.task_id for task in chosen}), n=len(tasks), unit="tasks")
        return chosen

    def train(self, unit: Unit, chosen: Sequence[Task]) -> str:
        """The folder of a trained model; trained now unless this run has done so already."""

        def train() -> str:
            from codelab.train.grpo_loop import train_unit  # noqa: PLC0415 - needs torch

            return train_unit(self.lab, unit, chosen, self._ask, self._engine)

        return self.once(unit, train)
