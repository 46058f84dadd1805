"""The experiment of kind ``evaluate``: one model on one split of MBPP, every completion judged and recorded.

Order: the sandbox starts and its time limits are calibrated, the model is loaded, the temperature is chosen on another
split where the recipe asks for it, then the split itself is answered. Killed at any moment, it continues after the last
finished chunk with the same result. Not covered: training, and comparing two records (``codelab compare``).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from codelab.evaluate import engines
from codelab.evaluate.collect import Chunk, Judge, collect, missing
from codelab.evaluate.easy import is_one_liner
from codelab.evaluate.engines import Asker
from codelab.evaluate.recipe import EvaluateRecipe, Judging
from codelab.evaluate.report import GREEDY, score, setting_name, summarise
from codelab.measure import Meter
from codelab.models.generation import Generator, Sampling
from codelab.records import Phase, Run
from codelab.sandbox import Limits, Pool, calibrate
from codelab.tasks import mbpp
from codelab.tasks.mbpp import Task

RECIPE = EvaluateRecipe


def run(recipe: EvaluateRecipe, run: Run) -> None:
    """Evaluate a model; see :class:`~codelab.evaluate.recipe.EvaluateRecipe`.

    Raises:
        UserError: data, weights, packages or device are missing.
        Paused: the time that the command was allowed is over.
    """
    engines.require(recipe.backend)
    everything = mbpp.load(recipe.questions.source)
    run.data(mbpp.facts(recipe.questions.source))
    tasks = engines.questions_asked(recipe.questions)
    session = _Session(recipe, run, Asker(recipe.questions.prompt, everything), everything)
    with session.open():
        temperatures = session.choose_temperature() if recipe.select_temperature else recipe.temperatures
        session.answer(final_chunks(recipe, tasks, temperatures))
        session.finish(tasks, temperatures)


def final_chunks(recipe: EvaluateRecipe, tasks: Sequence[Task], temperatures: Sequence[float]) -> list[Chunk]:
    """Everything that is asked of the evaluated split, in order."""
    split, asked = recipe.questions.split, tuple(tasks)
    whole = []
    if recipe.greedy:
        whole.append(Chunk(split, GREEDY, recipe.seeds[0], Sampling(recipe.max_new_tokens), 1, asked))
    for temperature in temperatures:
        sampling = Sampling(recipe.max_new_tokens, temperature, recipe.top_p)
        whole += [
            Chunk(split, setting_name(temperature), seed, sampling, recipe.samples, asked) for seed in recipe.seeds
        ]
    return [chunk for part in whole for chunk in part.cut(recipe.chunk_tasks)]


def selection_chunks(recipe: EvaluateRecipe) -> list[Chunk]:
    """What is asked of the other split to choose a temperature."""
    select = recipe.select_temperature
    if select is None:
        return []
    tasks = tuple(engines.questions_asked(recipe.questions, select.split, select.limit))
    chunks = []
    for temperature in select.temperatures:
        sampling = Sampling(recipe.max_new_tokens, temperature, recipe.top_p)
        whole = Chunk(select.split, setting_name(temperature), recipe.seeds[0], sampling, select.samples, tasks)
        chunks += whole.cut(recipe.chunk_tasks)
    return chunks


class _Session:
    """A run's sandbox, engine and meter; the engine is loaded only when something is left to generate."""

    def __init__(self, recipe: EvaluateRecipe, run: Run, ask: Asker, everything: Sequence[Task]) -> None:
        self.recipe, self.run, self.ask, self.everything = recipe, run, ask, everything
        self.meter = Meter()
        self.answering = Meter()
        self.engine: Generator | None = None
        self.pool: Pool | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        with sandbox(self.recipe.judging, self.everything, self.meter) as self.pool:
            try:
                yield
            finally:
                if self.engine is not None:
                    self.engine.close()

    def answer(self, chunks: Sequence[Chunk]) -> None:
        left = missing(chunks, self.run)
        if not left or self.pool is None:
            return
        engine = self._engine(left[0])
        judge: Judge = self.pool.judge
        with self.answering.phase("answer"):
            collect(left, engine, judge, self.ask, self.run)

    def _engine(self, first: Chunk) -> Generator:
        if self.engine is None:
            recipe = self.recipe
            with self.meter.phase("load"):
                self.engine, facts = engines.build(
                    recipe.answers, recipe.backend, recipe.transformers, recipe.vllm
                )  # fmt: skip
            self.run.model(facts)
            with self.meter.phase("warm-up"):
                self.engine.generate([self.ask(first.tasks[0])], 1, Sampling(min(8, recipe.max_new_tokens)), 0)
            # Recorded only now: a model that cannot be loaded must leave no run behind.
            for phase in self.meter.phases:
                self.run.phase(phase)
        return self.engine

    def choose_temperature(self) -> tuple[float, ...]:
        select = self.recipe.select_temperature
        if select is None:
            return self.recipe.temperatures
        self.answer(selection_chunks(self.recipe))
        rows = [row for row in self.run.samples_so_far() if row["split"] == select.split]
        table = []
        for temperature in sorted(select.temperatures):
            group = [row for row in rows if row["setting"] == setting_name(temperature)]
            table.append({"temperature": temperature, "k": select.k, **asdict(score(group, select.k))})
        # max keeps the first of equals: the lowest temperature.
        best = max(table, key=lambda row: float(row["value"]))["temperature"]
        self.run.table("temperatures", table)
        self.run.metric("selected_temperature", float(best))
        return (float(best),)

    def finish(self, tasks: Sequence[Task], temperatures: Sequence[float]) -> None:
        recipe, run = self.recipe, self.run
        rows = run.samples_so_far()
        one_liners = frozenset(task.task_id for task in tasks if is_one_liner(task))
        summarise(run, rows, recipe.questions.split, recipe.k, one_liners)
        self._phases()
        style = self.ask.style
        run.table(
            "conditions",
            [
                {
                    "split": recipe.questions.split,
                    "tasks": len(tasks),
                    "sanitized": recipe.questions.sanitized,
                    "prompt": style.name,
                    "tests_shown": style.tests,
                    "stop_rule": f"end token, limit, or program complete ({style.form})",
                    "samples": recipe.samples if temperatures else 1,
                    "temperatures": ", ".join(f"{value:g}" for value in temperatures),
                    "top_p": recipe.top_p,
                    "max_new_tokens": recipe.max_new_tokens,
                    "backend": recipe.backend,
                    "dtype": recipe.answers.dtype,
                    "cpu_seconds_at_least": Limits().cpu_seconds,
                    "wall_seconds": Limits().wall_seconds,
                    "limits_calibrated": recipe.judging.calibrate,
                }
            ],
        )
        if self.pool is not None:
            report = self.pool.report
            for note in report.notes():
                run.note(note)
            run.table("sandbox", [{"measure": name, "granted": True, "why": ""} for name in report.granted])
            refused = [{"measure": name, "granted": False, "why": why} for name, why in sorted(report.refused.items())]
            run.table("sandbox_refused", refused)
            for name in ("retried", "recovered", "restarts"):
                run.metric(f"sandbox.{name}", getattr(report, name), unit="samples")

    def _phases(self) -> None:
        """Generation and execution overlap: their seconds are summed over chunks, also over those before a kill."""
        steps = self.run.steps_so_far()
        peaks = self.answering.phases
        memory = {
            name: max((value for phase in peaks if (value := getattr(phase, name)) is not None), default=None)
            for name in ("cpu_peak", "gpu_allocated", "gpu_device")
        }
        reserved = getattr(self.engine, "cache_bytes", None)
        generate = sum(float(step["generate_seconds"]) for step in steps)
        execute = sum(float(step["execute_seconds"]) for step in steps)
        self.run.phase(Phase(name="generate", seconds=generate, gpu_reserved=reserved, **memory))
        self.run.phase(Phase(name="execute", seconds=execute, cpu_peak=memory["cpu_peak"]))
        self.run.note("Generation and execution overlap; their memory was measured together, their seconds apart.")
        tokens, samples = sum(int(step["tokens"]) for step in steps), sum(int(step["samples"]) for step in steps)
        if generate > 0 and execute > 0:
            self.run.metric("generate.tokens_per_second", tokens / generate, unit="tokens/s")
            self.run.metric("generate.completions_per_second", samples / generate, unit="completions/s")
            self.run.metric("execute.completions_per_second", samples / execute, unit="completions/s")


@contextmanager
def sandbox(judging: Judging, everything: Sequence[Task], meter: Meter) -> Iterator[Pool]:
    """A pool with the recipe's workers and limits, started before the model so that its servers stay small."""
    limits = None
    if judging.calibrate:
        with meter.phase("calibrate"):
            limits = calibrate(everything, workers=judging.workers)
    with Pool(judging.workers, limits) as pool:
        yield pool
