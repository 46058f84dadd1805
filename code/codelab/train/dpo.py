"""The experiment of kind ``dpo``: sample a fine-tuned model, judge, pair, train each arm and seed, evaluate all.

The start is evaluated inside the same run, on the same prompts with the same sampling seeds, so that every difference
is paired. A kill at any moment loses at most one chunk of completions or the steps since a checkpoint: sampled chunks,
verdicts, trained models and finished evaluations are not repeated. The phases ``generate`` and ``execute`` are summed
over chunks and cover every process of a continued run; the others cover the last process that worked on them. Not
covered: several devices, and pairs drawn anew from the policy while it trains.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from codelab.evaluate import engines
from codelab.evaluate.collect import Chunk, Judge
from codelab.evaluate.engines import Asker
from codelab.evaluate.experiment import sandbox
from codelab.evaluate.report import setting_name
from codelab.measure import Meter
from codelab.models.generation import Sampling
from codelab.records import DataFacts, Run
from codelab.tasks import mbpp
from codelab.tasks.enlarged import FIRST, SPLIT
from codelab.tasks.mbpp import Task
from codelab.train import candidates as made
from codelab.train import own_process
from codelab.train.arms import START, Arms, Lab, open_engine, require_weights, tokenizer_of
from codelab.train.arms_recipe import Unit
from codelab.train.counterparts import against
from codelab.train.derived import check_apart, derive, named, source_of
from codelab.train.dpo_recipe import DpoRecipe
from codelab.train.dpo_report import compare, conditions
from codelab.train.kept_pairs import kept_pairs
from codelab.train.pairs import Pair, make_pairs, table, usable
from codelab.train.shelf import Shelf, unload
from codelab.train.trainers import needs_own_process, require

RECIPE = DpoRecipe
PAIRS = "pairs"


def run(recipe: DpoRecipe, run: Run) -> None:
    """Run the experiment; see :class:`~codelab.train.dpo_recipe.DpoRecipe`.

    Raises:
        UserError: data, weights, packages or device are missing, or no pair can be made.
        Paused: the time that the command was allowed is over.
    """
    require(recipe.trainer)
    engines.require(recipe.backend)
    require_weights("model", recipe.model)
    everything = mbpp.load(recipe.questions.source)
    run.data(mbpp.facts(recipe.questions.source))
    asked = engines.questions_asked(recipe.questions)
    meter = Meter()
    with sandbox(recipe.judging, everything, meter) as pool:
        ask = Asker(recipe.questions.prompt, everything)
        beyond = beyond_mbpp(recipe, run, everything, pool.judge)
        lab = Lab(recipe, run, {task.task_id: task for task in [*everything, *beyond]}, ask, pool.judge)
        experiment = _Experiment(lab, asked)
        tasks = trained_on(recipe, everything, beyond)
        check_apart(tasks, everything)
        pairs = experiment.start(tasks)
        for phase in meter.phases:  # only now: a model that cannot be loaded must leave no run behind
            run.phase(phase)
        answers = experiment.compete(lambda unit: experiment.train(unit, pairs))
        for note in pool.report.notes():
            run.note(note)
    compare(recipe, run, answers, START)
    against(recipe, run, answers)
    run.table("conditions", conditions(recipe, len(asked), ask))
    unload(run, [experiment.drawn, *experiment.evaluated.values()])
    for pair in pairs:
        run.sample(
            variant="pair", task_id=pair.chosen.task_id, chosen=pair.chosen.program, chosen_source=pair.chosen.source,
            rejected=pair.rejected.program, rejected_source=pair.rejected.source, failure=pair.rejected.failure,
        )  # fmt: skip


def beyond_mbpp(recipe: DpoRecipe, run: Run, everything: Sequence[Task], judge: Judge) -> list[Task]:
    """Tasks of the corpus that pairs are made of too; where an earlier record has made them, all candidates."""
    if not recipe.pairs.enlarged:
        return []
    path = Path(recipe.pairs.enlarged)
    if recipe.pairs_from:
        return named(path, recipe.pairs.least_tests, everything)
    return derive(path, recipe.pairs.least_tests, run, everything, judge, keep=run.work / "enlarged.json")


def trained_on(recipe: DpoRecipe, everything: Sequence[Task], beyond: Sequence[Task] = ()) -> list[Task]:
    """The tasks that pairs are made of."""
    limit = recipe.drawn.limit
    found = [task for split in recipe.pairs.splits for task in usable(everything, (split,))[:limit]]
    return [*found, *beyond[:limit]]


def drawn_chunks(recipe: DpoRecipe, tasks: Sequence[Task]) -> list[Chunk]:
    """What is asked of the start for pairs, source by source."""
    sampling = Sampling(recipe.max_new_tokens, recipe.drawn.temperature, recipe.drawn.top_p)
    chunks: list[Chunk] = []
    name = setting_name(recipe.drawn.temperature)
    for source in (*recipe.pairs.splits, SPLIT):
        part = tuple(task for task in tasks if source_of(task) == source)
        if part:
            whole = Chunk(source, name, recipe.seeds[0], sampling, recipe.drawn.samples_of(source), part)
            chunks += whole.cut(recipe.chunk_tasks)
    return chunks


class _Experiment(Arms[DpoRecipe]):
    """The shared stages, and the pairs before them."""

    def __init__(self, lab: Lab[DpoRecipe], asked: Sequence[Task]) -> None:
        super().__init__(lab, asked)
        self.drawn = Shelf(lab.run, PAIRS)

    def start(self, tasks: Sequence[Task]) -> list[Pair]:
        """Evaluate the start and make the pairs: of its samples from the same engine, or read from a record."""
        recipe, run = self.lab.recipe, self.lab.run
        tokenizer = tokenizer_of(recipe.model)

        def length(program: str) -> int:
            return len(tokenizer(program, add_special_tokens=False)["input_ids"])

        if recipe.pairs_from:
            data = [mbpp.facts(recipe.questions.source)]
            if recipe.pairs.enlarged:
                added = sum(source_of(task) == SPLIT for task in tasks)
                data.append(DataFacts.of_file("instructions", Path(recipe.pairs.enlarged), added))
            pairs, facts = kept_pairs(recipe, run.work, length, data)
            for one in [*data, facts]:
                run.data(one)
        with open_engine(self.lab, START, recipe.model) as engine:
            if not recipe.pairs_from:
                self.collect(engine, "sample", self.drawn, drawn_chunks(recipe, tasks))
            self.answer(engine, START, recipe.model)
        self.report(START)
        if not recipe.pairs_from:
            pairs = self._pairs(tasks, length)
        rows = table(pairs)
        run.table("pairs", rows)
        run.metric("pairs", len(pairs), unit="pairs")
        run.metric("pairs.tasks", rows[-1]["tasks"], n=len(tasks), unit="tasks")
        more = [pair.chosen.task_id for pair in pairs if pair.chosen.task_id >= FIRST]
        run.metric("pairs.enlarged", len(more), unit="pairs")
        run.metric("pairs.enlarged.tasks", len(set(more)), unit="tasks")
        run.metric("pairs.length_difference", rows[-1]["difference"], n=len(pairs), unit="tokens")
        run.metric("pairs.rejected_longer", rows[-1]["rejected_longer"], n=len(pairs), unit="share")
        return pairs

    def _pairs(self, tasks: Sequence[Task], length: Callable[[str], int]) -> list[Pair]:
        recipe, run = self.lab.recipe, self.lab.run
        self.drawn.phases()
        by_id = {task.task_id: task for task in tasks}
        rows = self.drawn.samples_so_far()
        run.table("drawn", made.solved(rows))
        found = made.own(rows, by_id, self.lab.ask)
        with Meter(run, "mutants").phase("execute"):
            found += made.judged(tasks, recipe.mutants, recipe.seeds[0], self.lab.judge, run.work / "references.json")
        run.table("candidates", made.summary(found))
        beyond = [task.task_id for task in tasks if source_of(task) == SPLIT]
        return make_pairs(found, recipe.pairs, length, recipe.seeds[0], beyond)

    def train(self, unit: Unit, pairs: Sequence[Pair]) -> str:
        """The folder of a trained model; trained now unless this run has done so already."""

        def train() -> str:
            if needs_own_process(self.lab.recipe.trainer):
                return own_process.train_unit(self.lab, unit, pairs)
            with Meter(self.lab.run, unit.label).phase("import"):  # the first unit's alone takes long
                from codelab.train.dpo_loop import train_unit  # noqa: PLC0415 - needs torch
            return train_unit(self.lab, unit, pairs)

        return self.once(unit, train)
