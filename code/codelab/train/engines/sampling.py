"""Sampling in one engine: its start, its rate by count and length, and an evaluation. Run in a process of its own.

At fixed lengths every completion has the same number of tokens and every prompt is as long, so that engines do the
same work; no prompt is used twice, or a cache of prefixes would answer for it. Real questions with their stop rules
come last: there an engine also gains by what it does with rows that have ended. Not covered: quality.
"""

import contextlib
import time
from typing import Any

from codelab.errors import UserError
from codelab.evaluate.recipe import Model
from codelab.models.generation import Generator, Prompt, Sampling, encode
from codelab.models.load import pick_device
from codelab.train.engines.recipe import Asked, Sampler
from codelab.train.engines.texts import Stream, prompts
from codelab.train.engines.worker import Bench


def measure_sampling(bench: Bench) -> None:
    """Start, sample every length and count, evaluate; a warm start ends after its first completions.

    Raises:
        UserError: weights, packages or device are missing.
    """
    recipe, cell, wanted = bench.recipe, bench.cell, bench.recipe.sampling
    sampler = recipe.samplers[cell.engine]
    with bench.phase("import"):
        _import(sampler)
    with bench.phase("load"):
        engine: Any = _build(bench, sampler)
    try:
        tasks, ask = bench.tasks()
        stream = Stream(
            [f"{task.text}\n{task.code}\n" for task in tasks], lambda text: encode(engine.tokenizer, Prompt("", text))
        )
        with bench.phase("warm-up"):
            _call(bench, engine, stream, recipe.lengths[0], wanted.counts[0])
        if cell.start == "cold":
            _rates(bench, engine, stream)
            room = max(recipe.lengths) - wanted.new_tokens
            asked = [ask(task) for task in tasks]
            fitting = [one for one in asked if len(encode(engine.tokenizer, one)) <= room][: wanted.evaluated]
            bench.answer["evaluated"] = {"completions": len(fitting), "left_out": len(asked) - len(fitting)}
            with bench.phase("evaluate"):
                engine.generate(fitting, 1, Sampling(wanted.new_tokens, ignore_end=True), recipe.seeds[0])
            if recipe.asked:
                _asked(bench, engine, recipe.asked, asked)
        if sampler.backend == "vllm":
            bench.answer["gpu_reserved"] = engine.cache_bytes
            bench.answer["engine_allocated"] = None
            with contextlib.suppress(Exception):  # the rates are measured: an engine that cannot say is no failure
                bench.answer["engine_allocated"] = engine.allocator_peak()
    finally:
        engine.close()


def _rates(bench: Bench, engine: Generator, stream: Stream) -> None:
    wanted, rows = bench.recipe.sampling, []
    for length in bench.recipe.lengths:
        with bench.phase(f"warm-up {length}"):
            _call(bench, engine, stream, length, wanted.counts[0])
        with bench.phase(f"sample {length}"):
            for count in wanted.counts:
                for repeat in range(wanted.repeats if count == wanted.counts[-1] else 1):
                    seconds = _call(bench, engine, stream, length, count)
                    rows.append({"length": length, "count": count, "repeat": repeat, "seconds": seconds})
    bench.answer["sampling"] = rows


def _asked(bench: Bench, engine: Any, wanted: Asked, everything: list[Prompt]) -> None:
    """Answer real questions until they end; a part of the tasks a repeat, the first of the rest for the warm-up."""
    if bench.recipe.samplers[bench.cell.engine].backend == "transformers":  # the rules are looked at again
        engine.check_every = bench.recipe.samplers[bench.cell.engine].transformers.check_every
    room = min(engine.context, max(bench.recipe.lengths)) - wanted.new_tokens
    fitting = [one for one in everything if len(encode(engine.tokenizer, one)) <= room]
    parts = [fitting[i * wanted.tasks : (i + 1) * wanted.tasks] for i in range(wanted.repeats + 1)]
    if not parts[-1] or len(parts[-2]) < wanted.tasks:
        raise UserError(f"asked: {len(fitting)} tasks fit, too few for {wanted.repeats} x {wanted.tasks} and a warm-up")
    sampling, rows = Sampling(wanted.new_tokens, wanted.temperature), []
    with bench.phase("warm-up asked"):
        engine.generate(parts.pop()[:8], wanted.per_task, sampling, bench.recipe.seeds[0])
    with bench.phase("asked"):
        for repeat, part in enumerate(parts):
            began = time.perf_counter()
            made = engine.generate(part, wanted.per_task, sampling, bench.recipe.seeds[0])
            seconds = time.perf_counter() - began
            found = [one for row in made for one in row]
            rows.append({
                "repeat": repeat, "completions": len(found), "tokens": sum(one.tokens for one in found),
                "at_limit": sum(one.finish == "length" for one in found), "seconds": seconds,
            })  # fmt: skip
    bench.answer["asked"] = rows


def _call(bench: Bench, engine: Generator, stream: Stream, length: int, count: int) -> float:
    wanted = bench.recipe.sampling
    asked = prompts(stream, count // wanted.per_prompt, length - wanted.new_tokens, f"{length}-{count}")
    sampling = Sampling(wanted.new_tokens, wanted.temperature, ignore_end=True)
    began = time.perf_counter()
    made = engine.generate(asked, wanted.per_prompt, sampling, bench.recipe.seeds[0])  # returns host values: it is done
    seconds = time.perf_counter() - began
    tokens = sum(one.tokens for row in made for one in row)
    if tokens != count * wanted.new_tokens:
        raise RuntimeError(f"asked for {count * wanted.new_tokens} tokens, got {tokens}: not the same work")
    return seconds


def _import(sampler: Sampler) -> None:
    if sampler.backend == "vllm":
        import os  # noqa: PLC0415

        from codelab.models.vllm_generation import ENVIRONMENT  # noqa: PLC0415

        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import vllm  # noqa: F401, PLC0415
    else:
        import accelerate  # noqa: F401, PLC0415
        from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: F401, PLC0415 - transformers is lazy

        import codelab.models.transformers_generation  # noqa: F401, PLC0415


def _build(bench: Bench, sampler: Sampler) -> Generator:
    recipe, dtype = bench.recipe, bench.recipe.sampling.dtype
    if sampler.backend == "vllm":
        from codelab.models.vllm_generation import VllmGenerator  # noqa: PLC0415

        pick_device("cuda")
        return VllmGenerator(bench.folder, dtype=dtype, count_memory=True, **sampler.vllm.model_dump())
    from codelab.evaluate.engines import build  # noqa: PLC0415

    model = Model(model=bench.source, dtype=dtype, device=recipe.device)
    # No rule to look for: the texts that looking would decode are not wanted.
    options = sampler.transformers.model_copy(update={"check_every": recipe.sampling.new_tokens + 1})
    return build(model, "transformers", options, sampler.vllm)[0]
