"""The cells put together: starts, rates with their spread, a factorial table of whole jobs, and break-even counts.

Rates are medians over repeats with their smallest and largest value. The factorial table reckons a job's seconds from
measured starts and rates; nothing in it was run as a whole. Not covered: what a cell measures.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from codelab.evaluate.store import Sink
from codelab.train.engines.breakeven import Cost, break_even
from codelab.train.engines.recipe import Cell, EnginesRecipe, Start

Answers = Mapping[str, Mapping[str, Any]]
_START = ("import", "load", "setup", "warm-up")
_STARTS: tuple[Start, ...] = ("cold", "warm")
_DOUBLINGS = 14  # 16 completions to 131,072
_MEMORY = ("cpu_peak", "gpu_allocated", "gpu_device")


def write(recipe: EnginesRecipe, run: Sink, answers: Answers) -> None:
    """Write cells, sampling, training, ratios, break_even, curves and factorial as tables, and the rates as metrics."""
    cells = [_cell(cell, answers[cell.key]) for cell in recipe.cells()]
    sampling, training = sampling_rates(recipe, answers), training_rates(recipe, answers)
    asked = asked_rates(recipe, answers)
    run.table("cells", cells)
    run.table("sampling", sampling)
    run.table("training", training)
    run.table("ratios", ratios(recipe, sampling, training))
    run.table("break_even", break_evens(recipe, answers))
    run.table("curves", curves(recipe, answers))
    run.table("factorial", factorial(recipe, cells, sampling, training, asked))
    if asked:
        run.table("asked", asked)
    for row in asked:
        run.metric(
            f"{row['model']}.{row['engine']}.asked.completions_per_second", row["completions_per_second"],
            low=row["completions_per_second_min"], high=row["completions_per_second_max"], n=row["repeats"],
            unit="completions/s", method=f"median of {row['repeats']} repeats with other tasks, ends are the extremes",
        )  # fmt: skip
    for row in sampling:
        if row["count"] == recipe.sampling.counts[-1]:
            _metric(run, f"{row['model']}.{row['engine']}.l{row['length']}", row)
    for row in training:
        name = f"{row['model']}.{row['method']}.{row['engine']}.l{row['length']}"
        _metric(run, name, row)
        if row["gpu_allocated"] is not None:
            run.metric(f"{name}.gpu_allocated", row["gpu_allocated"], unit="bytes")


def _metric(run: Sink, name: str, row: Mapping[str, Any]) -> None:
    method = f"median of {row['repeats']} repeats, ends are the extremes"
    run.metric(
        f"{name}.tokens_per_second", row["tokens_per_second"], low=row["tokens_per_second_min"],
        high=row["tokens_per_second_max"], n=row["repeats"], unit="tokens/s", method=method,
    )  # fmt: skip


def _cell(cell: Cell, answer: Mapping[str, Any]) -> dict[str, Any]:
    phases = {phase["name"]: phase for phase in answer["phases"]}
    row: dict[str, Any] = {**cell.model_dump(), "key": cell.key, "failed": answer.get("failed")}
    for name in _START:
        row[name.replace("-", "_")] = phases[name]["seconds"] if name in phases else None
    if answer.get("training"):  # a trainer's warm-up lies inside its training: what its first steps took beyond a step
        row["warm_up"] = _first_steps(answer["training"])
    done = [row[name.replace("-", "_")] for name in _START]
    row["start_seconds"] = None if row["failed"] or not phases else sum(value or 0.0 for value in done)
    for name in _MEMORY:
        row[name] = max((phase[name] for phase in phases.values() if phase[name] is not None), default=None)
    row["gpu_reserved"] = answer.get("gpu_reserved")
    row["gpu_allocated"] = answer.get("engine_allocated") or max(
        [step["gpu_allocated"] or 0 for step in answer.get("training", ())] + [row["gpu_allocated"] or 0]
    )
    row["gpu_allocated"] = row["gpu_allocated"] or None
    row["evaluate"] = phases["evaluate"]["seconds"] if "evaluate" in phases else None
    row["evaluated"] = answer.get("evaluated", {}).get("completions")
    row["trained_parameters"] = answer.get("trained_parameters")
    return row


def _first_steps(steps: Sequence[Mapping[str, Any]]) -> float:
    """Seconds that the first length's warm-up took beyond what its later steps (or its last warm one) take."""
    mine = [step for step in steps if step["length"] == steps[0]["length"]]
    warm = [step["seconds"] for step in mine if step["warm"]]
    later = [step["seconds"] for step in mine if not step["warm"]] or warm[-1:]
    return float(max(0.0, sum(warm) - len(warm) * median(later)))


def sampling_rates(recipe: EnginesRecipe, answers: Answers) -> list[dict[str, Any]]:
    """A row a model, sampler, length and count: seconds and tokens a second, over repeats where there are several."""
    rows = []
    for cell in _cold(recipe):
        found = answers[cell.key].get("sampling", ())
        for length, count in dict.fromkeys((row["length"], row["count"]) for row in found):
            seconds = [row["seconds"] for row in found if (row["length"], row["count"]) == (length, count)]
            head = {"model": cell.model, "engine": cell.engine, "length": length, "count": count}
            rows.append(head | _spread(seconds, count * recipe.sampling.new_tokens))
    return rows


def asked_rates(recipe: EnginesRecipe, answers: Answers) -> list[dict[str, Any]]:
    """A row a model and sampler: real questions, seconds a repeat and completions a second, median and extremes."""
    rows = []
    for cell in _cold(recipe):
        found = answers[cell.key].get("asked", ())
        if not found:
            continue
        count = sum(row["completions"] for row in found)
        rates = [row["completions"] / row["seconds"] for row in found]
        rows.append({
            "model": cell.model, "engine": cell.engine, "repeats": len(found), "completions": count // len(found),
            "tokens": sum(row["tokens"] for row in found) / count,
            "at_limit": sum(row["at_limit"] for row in found) / count,
            "seconds": median(row["seconds"] for row in found), "completions_per_second": median(rates),
            "completions_per_second_min": min(rates), "completions_per_second_max": max(rates),
        })  # fmt: skip
    return rows


def training_rates(recipe: EnginesRecipe, answers: Answers) -> list[dict[str, Any]]:
    """A row a model, trainer, method and length: seconds a step by repeat, tokens a second, the allocator's peak."""
    wanted, rows = recipe.training, []
    for cell in _cold(recipe):
        found = [row for row in answers[cell.key].get("training", ()) if not row["warm"]]
        for length in dict.fromkeys(row["length"] for row in found):
            mine = [row for row in found if row["length"] == length]
            seconds = [row["seconds"] for row in mine]
            repeats = [sum(seconds[i : i + wanted.steps]) / wanted.steps for i in range(0, len(seconds), wanted.steps)]
            peaks = [row["gpu_allocated"] for row in mine if row["gpu_allocated"] is not None]
            head = {"model": cell.model, "engine": cell.engine, "method": cell.method, "length": length}
            more = {"gpu_allocated": max(peaks, default=None)}
            rows.append(head | _spread(repeats, wanted.batch * 2 * length) | more)
    return rows


def _cold(recipe: EnginesRecipe) -> list[Cell]:
    """Rates are measured in cold processes; a warm one ends when it is ready."""
    return [cell for cell in recipe.cells() if cell.start == "cold"]


def _spread(seconds: Sequence[float], tokens: int) -> dict[str, Any]:
    return {
        "seconds": median(seconds),
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "tokens_per_second": tokens / median(seconds),
        "tokens_per_second_min": tokens / max(seconds),
        "tokens_per_second_max": tokens / min(seconds),
        "repeats": len(seconds),
    }


def ratios(
    recipe: EnginesRecipe, sampling: Sequence[Mapping[str, Any]], training: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Every engine against the first of its kind, in speed and memory; clear where the repeats do not meet."""
    first_sampler, first_trainer = next(iter(recipe.samplers), None), next(iter(recipe.trainers), None)
    made = []
    for rows, first, keys in (
        (sampling, first_sampler, ("model", "length", "count")),
        (training, first_trainer, ("model", "method", "length")),
    ):
        base = {tuple(row[key] for key in keys): row for row in rows if row["engine"] == first}
        for row in rows:
            other = base.get(tuple(row[key] for key in keys))
            if row["engine"] == first or other is None:
                continue
            here, there = row.get("gpu_allocated"), other.get("gpu_allocated")
            made.append({
                **{key: row[key] for key in ("model", "length")}, "method": row.get("method"),
                "count": row.get("count"), "engine": row["engine"], "against": first,
                "speed": row["tokens_per_second"] / other["tokens_per_second"],
                "memory": here / there if here and there else None,
                "clear": row["seconds_max"] < other["seconds_min"] or other["seconds_max"] < row["seconds_min"],
            })  # fmt: skip
    return made


def costs(
    recipe: EnginesRecipe, answers: Answers, which: tuple[str, str], start: Start, length: int | None
) -> Cost | None:
    """The start of one kind and the measured counts of a model in a sampler; None where either is missing.

    Without a length, of real questions: rows that have ended make room for others, so that seconds grow with the count.
    """
    model, sampler = which
    start = recipe.start_of(model, sampler, start)
    head = {"role": "sample", "model": model, "engine": sampler}
    cells = {one: Cell.model_validate(head | {"start": one}) for one in ("cold", "warm")}
    if any(cells[one].key not in answers for one in {"cold", start}):
        return None
    begun = _cell(cells[start], answers[cells[start].key])["start_seconds"]
    answer = answers[cells["cold"].key]
    if length is None:
        asked = answer.get("asked", ())
        if begun is None or not asked:
            return None
        return Cost(begun, {asked[0]["completions"]: median(row["seconds"] for row in asked)})
    found = [row for row in answer.get("sampling", ()) if row["length"] == length]
    if begun is None or not found:
        return None
    counts = sorted({row["count"] for row in found})
    seconds = {count: median(row["seconds"] for row in found if row["count"] == count) for count in counts}
    options = recipe.samplers[sampler]
    batch = options.transformers.batch_rows if options.backend == "transformers" else None
    return Cost(begun, seconds, batch)


def break_evens(recipe: EnginesRecipe, answers: Answers) -> list[dict[str, Any]]:
    """From how many completions on each sampler beats the first one, by kind of start; None: not within a million."""
    rows = []
    first = next(iter(recipe.samplers), None)
    for model in recipe.models:
        for length in (*recipe.lengths, None):
            for start in _STARTS:
                for sampler in list(recipe.samplers)[1:]:
                    quick = costs(recipe, answers, (model, str(first)), start, length)
                    slow = costs(recipe, answers, (model, sampler), start, length)
                    if quick and slow:
                        rows.append({
                            "model": model, "length": length, "start": start, "engine": sampler, "against": first,
                            "start_seconds": slow.start, "against_start_seconds": quick.start,
                            "completions": break_even(quick, slow), "largest_measured": max(slow.seconds),
                        })  # fmt: skip
    return rows


def curves(recipe: EnginesRecipe, answers: Answers) -> list[dict[str, Any]]:
    """Seconds of start and completions in every sampler, at counts that double from the smallest measured one."""
    rows = []
    for model in recipe.models:
        for sampler in recipe.samplers:
            for length in recipe.lengths:
                for start in _STARTS:
                    cost = costs(recipe, answers, (model, sampler), start, length)
                    head = {"model": model, "engine": sampler, "length": length, "start": start}
                    for i in range(_DOUBLINGS if cost else 0):
                        count = recipe.sampling.counts[0] * 2**i
                        seconds = cost.of(count) if cost else 0.0
                        measured = count <= recipe.sampling.counts[-1]
                        rows.append(head | {"completions": count, "seconds": seconds, "measured": measured})
    return rows


def factorial(
    recipe: EnginesRecipe,
    cells: Sequence[Mapping[str, Any]],
    sampling: Sequence[Mapping[str, Any]],
    training: Sequence[Mapping[str, Any]],
    asked: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """The recipe's job in every combination of sampler and trainer, by phase, each part starting its own process.

    The evaluated model lies in another folder, and vLLM names its caches by the folder too: it starts as cold as the
    first one. Where real questions were asked, their rate counts, whatever the length of the training pairs.
    """
    job, largest, rows = recipe.job, recipe.sampling.counts[-1], []
    starts = {(c["role"], c["model"], c["engine"], c["method"], c["start"]): c for c in cells}
    rates = {(r["model"], r["engine"], r["length"]): r for r in sampling if r["count"] == largest}
    for step in training:
        model, trainer, method, length = step["model"], step["engine"], step["method"], step["length"]
        for sampler in recipe.samplers:
            rate = rates.get((model, sampler, length))
            for start in _STARTS:
                drawn = starts.get(("sample", model, sampler, None, recipe.start_of(model, sampler, start)))
                taught = starts.get(("train", model, trainer, method, recipe.start_of(model, trainer, start)))
                if not (rate and drawn and taught) or None in (drawn["start_seconds"], taught["start_seconds"]):
                    continue
                real = [row for row in asked if (row["model"], row["engine"]) == (model, sampler)]
                each = real[0]["seconds"] / real[0]["completions"] if real else rate["seconds"] / largest
                row = {
                    "model": model, "method": method, "length": length, "sampling": sampler, "training": trainer,
                    "start": start, "sampler_start": drawn["start_seconds"], "sample": job.sampled * each,
                    "trainer_start": taught["start_seconds"], "train": job.steps * step["seconds"],
                    "evaluator_start": drawn["start_seconds"], "evaluate": job.evaluated * each,
                }  # fmt: skip
                parts = ("sampler_start", "sample", "trainer_start", "train", "evaluator_start", "evaluate")
                rows.append(row | {"total": sum(row[part] for part in parts)})
    return rows
