"""Rates and break-evens of real questions, and which cells a recipe asks for, from answers that are made up."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from codelab.train.engines import report
from codelab.train.engines.recipe import EnginesRecipe

TINY = Path(__file__).resolve().parents[4] / "recipes" / "q9-engines-tiny-cpu.yaml"


def recipe(**changes: Any) -> EnginesRecipe:
    return EnginesRecipe.model_validate(yaml.safe_load(TINY.read_text(encoding="utf-8")) | changes)


def timed(engine: str, seconds: float) -> dict[str, Any]:
    slow = engine == "vllm"
    phase = {"cpu_peak": 1, "gpu_allocated": None, "gpu_device": None, "gpu_reserved": None, "variant": None}
    asked = [{"repeat": i, "completions": 8, "tokens": 40, "at_limit": 2, "seconds": seconds + i} for i in range(3)]
    return {
        "phases": [{"name": "load", "seconds": 30.0 if slow else 2.0, **phase}], "looks": [], "asked": asked,
        "sampling": [
            {"length": 128, "count": count, "repeat": 0, "seconds": 0.5 * count} for count in (4, 8)
        ],
    }  # fmt: skip


def test_real_questions_have_rates_of_their_own_and_make_the_job() -> None:
    chosen = recipe(asked={"tasks": 2, "per_task": 4, "repeats": 3}, restarts=[], trainers=[])
    answers = {
        "sample.tiny-gpt2.transformers.cold": timed("transformers", 7),
        "sample.tiny-gpt2.vllm.cold": timed("vllm", 3),
    }
    rows = {row["engine"]: row for row in report.asked_rates(chosen, answers)}
    assert (rows["vllm"]["tokens"], rows["vllm"]["at_limit"], rows["vllm"]["seconds"]) == (5, 0.25, 4)
    assert rows["transformers"]["completions_per_second"] == 1
    assert (rows["vllm"]["completions_per_second_min"], rows["vllm"]["completions_per_second_max"]) == (8 / 5, 8 / 3)
    found = {(row["length"], row["start"]): row for row in report.break_evens(chosen, answers)}
    real = found[None, "cold"]
    assert (real["largest_measured"], found[128, "cold"]["completions"]) == (8, None)
    assert real["completions"] == 56, "28 seconds at half a second a completion"
    cells = [report._cell(cell, answers[cell.key]) for cell in chosen.cells() if cell.key in answers]
    train = {"role": "train", "model": "tiny-gpt2", "engine": "trl", "method": "lora", "start": "cold"}
    cells.append(train | {"start_seconds": 1.0})
    step = {"model": "tiny-gpt2", "engine": "trl", "method": "lora", "length": 128, "seconds": 1.0}
    job = report.factorial(chosen, cells, report.sampling_rates(chosen, answers), [step], list(rows.values()))
    assert {row["sampling"]: row["evaluate"] for row in job} == {"transformers": 50.0, "vllm": 25.0}


def test_only_what_compiles_is_started_again_and_a_model_may_have_fewer_cells() -> None:
    models = {
        "tiny-gpt2": {"source": "scratch:tiny-gpt2", "targets": ["c_attn"]},
        "other": {"source": "scratch:tiny-gpt2", "targets": ["c_attn"], "methods": ["lora"], "sampled": False},
    }
    chosen = recipe(models=models, restarts=["tiny-gpt2"], restart_engines=["vllm", "unsloth"])
    keys = [cell.key for cell in chosen.cells()]
    assert [key for key in keys if key.endswith("warm")] == [
        "sample.tiny-gpt2.vllm.warm", "train.tiny-gpt2.unsloth.full.warm", "train.tiny-gpt2.unsloth.lora.warm",
    ]  # fmt: skip
    assert [key for key in keys if ".other." in key] == ["train.other.trl.lora.cold", "train.other.unsloth.lora.cold"]
    answers = {
        "sample.tiny-gpt2.transformers.cold": timed("transformers", 7), "sample.tiny-gpt2.vllm.cold": timed("vllm", 3),
        "sample.tiny-gpt2.vllm.warm": timed("vllm", 3),
    }  # fmt: skip
    rows = [row for row in report.break_evens(chosen, answers) if row["length"] == 128]
    assert [row["start"] for row in rows] == ["cold", "warm"], "transformers' cold start stands in for its warm one"
    assert {row["against_start_seconds"] for row in rows} == {2.0}
    with pytest.raises(ValidationError, match="no sampler and no trainer"):
        recipe(restart_engines=["sglang"])
