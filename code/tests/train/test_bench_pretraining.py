"""The benchmark of pretraining with a tiny model on a CPU: turns, failures, and going on after a stop."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from bench import pretraining
from bench.pretraining import Child, PretrainingBench, make_tokens, merged, summary, variant_values
from codelab.cli.registry import load
from codelab.errors import Paused, UserError
from codelab.records import Run, open_run
from codelab.train.pretrain import PretrainRecipe

ROOT = Path(__file__).resolve().parents[3]
ALWAYS = {
    "shape": {"layers": 1, "heads": 2, "width": 32, "positions": 32}, "rows_per_step": 8, "rows_per_pass": 4,
    "precision": "fp32", "compiled": False, "mask": "flag", "gelu": "tanh", "optimizer": {"batched": False},
}  # fmt: skip
VARIANTS = [
    {"name": "first", "changes": {"mask": "tensor"}},
    {"name": "broken", "changes": {"rows_per_pass": 3}},
    {"name": "fast", "changes": {"gelu": "sigmoid", "optimizer": {"batched": True}}},
]


def bench(**changes: Any) -> PretrainingBench:
    values: dict[str, Any] = {
        "kind": "bench-pretraining", "title": "Tiny", "hardware": {"device": "cpu", "minutes": 1},
        "pretrain": str(ROOT / "recipes" / "pretrain-gpt2.yaml"), "always": ALWAYS, "variants": VARIANTS, "rounds": 2,
        "seconds": 0.05, "tokens": 20000, "vocabulary": 300, "build_limit": 120, "limit": 250,
    }  # fmt: skip
    return PretrainingBench.model_validate(values | changes)


def opened(recipe: PretrainingBench, folder: Path) -> Run:
    return open_run(recipe, "tiny", folder, [])


@pytest.mark.slow
def test_variants_take_turns_and_a_failed_one_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recipe = bench()
    run = opened(recipe, tmp_path)
    pretraining.run(recipe, run)
    turns = [(row["variant"], row["round"]) for row in run.steps_so_far()]
    assert turns == [("first", 0), ("fast", 0), ("fast", 1), ("first", 1)]
    assert all(row["tokens"] / row["steps"] == 8 * 32 for row in run.steps_so_far())
    tables, metrics = run._state["tables"], run._state["metrics"]
    first, broken, fast = tables["variants"]
    assert "multiple of 3" in broken["failed"]
    assert broken["rounds"] == 0
    assert fast["loss"] == pytest.approx(first["loss"], rel=1e-3)
    assert first["times"] == 1.0
    assert first["least"] <= first["tokens_per_second"] <= first["most"]
    assert set(metrics) == {f"{one}.{key}" for one in ("first", "fast") for key in ("tokens_per_second", "times")}
    assert {phase["variant"] for phase in run._state["phases"]} == {"first", "fast"}


class Pretend:
    """Takes no process, and fails on request."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "build": {"build_seconds": 1.0, "loss": 2.0}, "round": {"tokens": 10, "seconds": 1.0}
        } | answers  # fmt: skip
        self.asked: list[str] = []
        self.ended = False

    def ask(self, what: str, seconds: float, limit: float) -> dict[str, Any]:
        assert limit > 0
        self.asked.append(what)
        return dict(self.answers[what])

    def end(self) -> None:
        self.ended = True


def pretended(**children: Pretend) -> dict[str, Any]:
    return dict(children)


def test_a_stopped_run_goes_on_with_the_turns_that_are_missing(tmp_path: Path) -> None:
    recipe = bench()
    run = opened(recipe, tmp_path)
    run.stop_after = 0.0  # over when the first turn is due
    children = pretended(first=Pretend(), broken=Pretend(), fast=Pretend())
    with pytest.raises(Paused):
        pretraining.measure(recipe, run, children, time.monotonic())
    assert run.steps_so_far() == []
    run.stop_after = None
    run.step(variant="fast", round=0, tokens=20, seconds=1.0, tokens_per_second=20.0)
    children = pretended(first=Pretend(), broken=Pretend(round={"error": "out of memory"}), fast=Pretend())
    broken = children["broken"]
    pretraining.measure(recipe, run, children, time.monotonic())
    turns = [(row["variant"], row["round"]) for row in run.steps_so_far()]
    assert turns == [("fast", 0), ("first", 0), ("fast", 1), ("first", 1)]
    assert broken.ended
    assert broken.asked == ["build", "round"]
    assert run._state["tables"]["variants"][1] == {
        "variant": "broken", "rounds": 0, "failed": "out of memory", "loss": 2.0, "build_seconds": 1.0
    }  # fmt: skip
    assert run._state["metrics"]["fast.times"]["value"] == pytest.approx(2 / 1.5)


def test_nothing_begins_once_the_time_is_over(tmp_path: Path) -> None:
    recipe = bench(limit=100)
    late = time.monotonic() - 101
    children = pretended(first=Pretend(), fast=Pretend())
    with pytest.raises(RuntimeError, match="no time was left"):
        pretraining.measure(
            bench(variants=[VARIANTS[0], VARIANTS[2]], limit=100), opened(recipe, tmp_path), children, late
        )
    assert children == {}


def test_a_process_that_ends_or_hangs_is_an_error_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = Child({})
    began = time.monotonic()
    assert hung.ask("build", 0, 0.1) == {"error": "build: no answer in 0 seconds"}
    assert time.monotonic() - began < 30
    assert not hung._process.is_alive()
    hung.end()
    monkeypatch.setattr(pretraining, "serve", json.loads)  # wants no connection, and raises
    assert Child({}).ask("build", 0, 60) == {"error": "build: the process ended with status 1"}


def test_what_is_fast_is_told_from_paired_rounds() -> None:
    recipe = bench()
    rounds = [
        {"variant": name, "round": number, "tokens": 100, "seconds": slow * seconds, "gpu_allocated": 10 + number}
        for number, slow in enumerate((1.0, 3.0))
        for name, seconds in (("first", 1.0), ("fast", 0.5))
    ]
    first, broken, fast = summary(recipe, rounds, {"fast": {"peak": 1e4, "flops": 10.0}, "broken": {"failed": "x"}})
    assert (fast["times"], fast["low"], fast["high"]) == (2.0, 2.0, 2.0)
    assert fast["tokens_per_second"] == pytest.approx((200 + 200 / 3) / 2)
    assert fast["mfu"] == pytest.approx(fast["tokens_per_second"] * 10 / 1e4)
    assert fast["gpu_allocated"] == 11
    assert "mfu" not in first
    assert broken == {"variant": "broken", "rounds": 0, "failed": "x"}
    alone = summary(recipe, [row for row in rounds if row["variant"] == "fast"], {})
    assert "times" not in alone[2]
    assert alone[2]["rounds"] == 2


def test_values_are_put_in_key_by_key_and_checked() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}, "e": {}}) == {"a": {"b": 4, "c": 2}, "d": 3, "e": {}}
    recipe = bench()
    found = PretrainRecipe.model_validate(variant_values(recipe, recipe.variants[2], Path("here")))
    assert (found.gelu, found.optimizer.batched, found.optimizer.momentum) == ("sigmoid", True, 0.95)
    assert (found.tokens, found.schedule.unit) == ("here", "tokens")
    wrong = bench(variants=[{"name": "wrong", "changes": {"gelu": "soft"}}])
    with pytest.raises(UserError, match="variant wrong: gelu"):
        variant_values(wrong, wrong.variants[0], Path("here"))
    with pytest.raises(ValueError, match="name of its own"):
        bench(variants=[{"name": "a"}, {"name": "a"}])


def test_made_up_tokens_are_a_token_folder_with_few_frequent_tokens(tmp_path: Path) -> None:
    from codelab.train.tokens import open_tokens

    make_tokens(tmp_path, 50_000, 1000, 0)
    folder = open_tokens(tmp_path)
    assert (folder.vocabulary, folder.train.tokens) == (1000, 50_000)
    counts = np.sort(np.bincount(folder.train.arrays[0], minlength=1000))[::-1]
    assert counts[0] / 50_000 == pytest.approx(1 / sum(1 / rank for rank in range(1, 1001)), rel=0.05)
    assert counts[0] > 1.8 * counts[1]


def test_the_recipe_is_fine_and_every_variant_is_a_pretraining(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    loaded = load(Path("recipes/bench-pretraining.yaml"))
    assert isinstance(loaded.recipe, PretrainingBench)
    every = [variant_values(loaded.recipe, one, Path("t")) for one in loaded.recipe.variants]
    assert len({json.dumps(values) for values in every}) == len(every)
    assert every[0]["mask"] == "tensor"
    recipe = yaml.safe_load(Path("recipes/pretrain-gpt2.yaml").read_text())
    assert all(values["optimizer"]["matrix_rate"] == recipe["optimizer"]["matrix_rate"] for values in every)


def test_the_pretraining_recipe_computes_its_step_as_the_variant_that_the_book_quotes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    recipe = PretrainRecipe.model_validate(yaml.safe_load(Path("recipes/pretrain-gpt2.yaml").read_text()))
    bench = load(Path("recipes/bench-pretraining.yaml")).recipe
    assert isinstance(bench, PretrainingBench)
    (quoted,) = (one for one in bench.variants if one.name == "sigmoid-batched")
    measured = PretrainRecipe.model_validate(variant_values(bench, quoted, Path(recipe.tokens)))
    never = {"schedule": recipe.schedule, "evaluate_every": recipe.evaluate_every}
    assert measured.model_copy(update=never | {"checkpoint_every": recipe.checkpoint_every}) == recipe
