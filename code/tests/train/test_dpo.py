"""The whole DPO experiment on a tiny random model and the real sandbox: record, resume after kill -9, refusals."""

import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file

from codelab.cli.registry import load
from codelab.errors import UserError
from codelab.evaluate.experiment import final_chunks
from codelab.records import find_records, read_samples, read_steps, verify_files
from codelab.tasks import mbpp
from codelab.tasks.enlarged import FIRST
from codelab.train import dpo, trainers
from codelab.train.arms import START
from codelab.train.dpo_recipe import DpoRecipe
from codelab.train.sft import MIXED_UP

from ..evaluate.small import derivable, rows

CODE = Path(__file__).resolve().parents[2]


def values(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "dpo",
        "title": "Tiny",
        "seeds": [0, 1],
        "hardware": {"device": "cpu", "minutes": 1},
        "model": f"path:{folder / 'start'}",
        "output": str(folder / "tuned"),
        "questions": {"source": str(folder / "mbpp.jsonl"), "split": "test", "prompt": "docstring"},
        "dtype": "float32",
        "drawn": {"samples": 2, "temperature": 1.0},
        "mutants": {"per_task": 12},
        "pairs": {"mix": {"mutant": 1.0, "syntax": 0.5}, "length_ratio": 2, "mean_difference": 20},
        "arms": {"dpo": {"beta": 0.1, "rate": 0.001}},
        "training": {
            "steps": 6, "batch": 4, "pairs_per_pass": 2, "length": 400, "precision": "fp32", "checkpoint_every": 2,
        },
        "watch": {"every": 3, "kl_prompts": 2, "kl_samples": 2, "kl_tokens": 8, "pass_tasks": 2, "pass_samples": 2},
        "samples": 3,
        "temperatures": [0.8],
        "k": [1, 2],
        "max_new_tokens": 8,
        "chunk_tasks": 2,
        "judging": {"workers": 1, "calibrate": False},
    } | changes  # fmt: skip


@pytest.fixture
def world(tmp_path: Path, tiny_tokenizer: Path) -> Path:
    """A folder with a tiny random GPT-2 and a recipe."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from codelab.train.save import save_model

    config = GPT2Config(vocab_size=320, n_positions=512, n_embd=32, n_layer=2, n_head=2)
    save_model(GPT2LMHeadModel(config), AutoTokenizer.from_pretrained(tiny_tokenizer), tmp_path / "start")
    changes: dict[str, Any] = {
        "early_stop": ["dpo"],
        "drawn": {"samples": 2, "enlarged_samples": 1, "temperature": 1.0},
    }
    tiny = values(tmp_path, **changes)
    tiny["pairs"]["enlarged"] = str(derivable(tmp_path / "pairs.jsonl.zst"))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny))
    return tmp_path


@pytest.mark.slow
def test_the_whole_recipe_killed_twice_and_continued(world: Path) -> None:
    results = world / "results"
    command = [
        sys.executable, str(CODE / "tests/train/dpo_child.py"), str(world / "tiny.yaml"), str(results),
        str(world / "mbpp.jsonl"),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def kill_when(done: str) -> None:
        with (world / "log").open("w") as log:
            child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            deadline = time.monotonic() + 400
            while not list(results.glob(done)):
                assert child.poll() is None, (world / "log").read_text()[-3000:]
                assert time.monotonic() < deadline
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
            child.wait()

    kill_when("tiny/.*/work/shelves/pairs/steps.jsonl")  # while sampling
    kill_when("tiny/.*/work/best/dpo-seed1/step-3.json")  # seed 0 is finished; this look comes after a checkpoint
    marker = next(results.glob("tiny/.*/work/dpo-seed0.trained"))
    trained_first = (world / "tuned-dpo-seed0" / "model.safetensors").stat().st_mtime_ns
    assert marker.exists()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]

    ((folder, record),) = find_records(results)
    verify_files(folder, record)
    assert record.resumed == 2
    assert (world / "tuned-dpo-seed0" / "model.safetensors").stat().st_mtime_ns == trained_first
    weights = load_file(world / "tuned-dpo-seed0" / "model.safetensors")
    before = load_file(world / "start" / "model.safetensors")
    name = "transformer.h.0.attn.c_attn.weight"
    assert weights[name].dtype == torch.float32, "small updates of bf16 weights would be rounded away"
    assert not torch.equal(weights[name], before[name].float())
    steps = read_steps(folder)
    for arm in ("dpo-seed0", "dpo-seed1"):
        mine = [row for row in steps if row["arm"] == arm]
        assert [int(row["step"]) for row in mine if row["loss"]] == [1, 2, 3, 4, 5, 6]
        looks = [row for row in mine if row["kl"]]
        assert [int(row["step"]) for row in looks] == [0, 3, 6]
        assert float(looks[0]["kl"]) == pytest.approx(0, abs=1e-6)
        assert float(looks[-1]["kl"]) > 1e-6
        assert float(mine[1]["rewards/margins"]) == pytest.approx(0, abs=1e-3)
        assert float([row for row in mine if row["loss"]][-1]["loss"]) < 0.6931
        assert {"logps/chosen", "logps/rejected", "rewards/accuracies", "kl_k1", "kl_k3", "pass@1"} <= mine[0].keys()
        for look in looks:
            assert float(look["pass@1_low"]) <= float(look["pass@1"]) < float(look["pass@1_high"])
        kept = record.metrics[f"{arm}-early.step"].value
        first_best = max(looks[1:], key=lambda row: float(row["pass@1"]))
        assert kept == int(first_best["step"])
        early = load_file(world / f"tuned-{arm}-early" / "model.safetensors")
        finished = load_file(world / f"tuned-{arm}" / "model.safetensors")
        assert torch.equal(early[name], finished[name]) == (kept == 6)
        assert not torch.equal(early[name], before[name].float())

    samples = read_samples(folder)
    by_variant = {name: [one for one in samples if one["variant"] == name] for name in {s["variant"] for s in samples}}
    trained = {"dpo-seed0", "dpo-seed0-early", "dpo-seed1", "dpo-seed1-early"}
    assert by_variant.keys() == {"pairs", "start", "pair"} | trained
    assert len(by_variant["dpo-seed1-early"]) == 4 * (1 + 3)
    assert {row["model"] for row in record.tables["comparison"]} == {"dpo", "dpo-early"}
    assert {row["model"] for row in record.tables["by_seed"]} == trained
    assert len(by_variant["start"]) == len(by_variant["dpo-seed1"]) == 4 * (1 + 3)
    trained_on = {one["task_id"] for name in ("pairs", "pair") for one in by_variant[name]}
    assert trained_on == {601, *range(603, 609), *range(FIRST, FIRST + 8)}
    drawn = {row["source"]: row["samples"] for row in record.tables["drawn"]}
    assert drawn == {"train": 2 * 7, "enlarged": 8}
    assert {row["reason"]: row["pairs"] for row in record.tables["enlarged"]} == {"in the test split": 2}
    added = [one for one in by_variant["pair"] if one["task_id"] >= FIRST]
    assert len(added) == record.metrics["pairs.enlarged"].value > 0
    assert "instructions" in {facts.name for facts in record.data}
    assert not trained_on & MIXED_UP
    assert len(by_variant["pair"]) == record.metrics["pairs"].value
    assert len({(one["task_id"], one["rejected"]) for one in by_variant["pair"]}) == len(by_variant["pair"])

    assert record.metrics["dpo.t0.8.pass@2.difference"].n == 4
    assert record.metrics["dpo.greedy.pass@1.difference.seeds"].method == "Student's t over seeds"
    assert {row["verdict"] for row in record.tables["comparison"]} == {"no difference shown"}
    assert record.tables["pairs"][-1]["pairs"] == len(by_variant["pair"])
    phases = {(phase.name, phase.variant) for phase in record.phases}
    assert {("load", "start"), ("sample", "pairs"), ("generate", "pairs"), ("execute", "mutants")} <= phases
    assert {
        (name, f"dpo-seed{k}")
        for name in ("load", "load_policy", "reference", "train", "watch", "evaluate")
        for k in (0, 1)
    } <= phases
    assert {model.role for model in record.models} == {"start"} | trained


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"questions": {"split": "train", "prompt": "docstring"}}, "evaluated split must not"),
        ({"questions": {"split": "test", "prompt": "signature"}}, "opens the function"),
        ({"arms": {"start": {"beta": 0.1, "rate": 1e-5}}}, "expected small letters"),
        ({"arms": {"a": {"beta": 0.1, "rate": 1e-5, "loss": ["sigmoid", "sft"], "weights": [1]}}}, "one value a term"),
        ({"pairs": {"mix": {"mutant": 1}, "splits": ["train", "validation"]}}, "pass_split must not"),
        ({"pairs": {"mix": {"mutant": 1}, "splits": ["test"]}}, "train"),
        ({"k": [1, 9]}, "at least as many samples"),
        ({"early_stop": ["ipo"]}, "is no arm"),
        ({"early_stop": ["dpo"], "watch": {"every": 3}}, "expected watch.pass_tasks"),
        ({"early_stop": ["dpo"], "watch": {"every": 3, "pass_tasks": 2, "pass_split": "test"}}, "another split"),
        ({"early_stop": ["dpo"], "trainer": "unsloth"}, "expected trainer trl"),
    ],
)
def test_impossible_recipes_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    DpoRecipe.model_validate(values(tmp_path))
    with pytest.raises(ValidationError, match=message):
        DpoRecipe.model_validate(values(tmp_path, **changes))


def test_unsloth_is_one_line_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="make setup-gpu"):
        trainers.prepare("unsloth")
    trainers.prepare("trl")


@pytest.mark.parametrize(
    ("name", "beyond", "drawn", "looked", "evaluated"),
    [
        ("q8-dpo-gpt2", 444, 37_952, 7_808, 84_000),
        ("q8-sweep-gpt2", 444, 0, 12_200, 20_000),
        ("q8-dpo-wide-gpt2", 1_244, 63_552, 3_416, 42_000),
    ],
)
def test_recipes_generate_what_their_headers_say(
    name: str, beyond: int, drawn: int, looked: int, evaluated: int
) -> None:
    path = CODE.parent / "recipes" / f"{name}.yaml"
    recipe = load(path).recipe
    assert isinstance(recipe, DpoRecipe)
    everything = mbpp.tasks_of_rows(enumerate(rows(range(1, 975)), 1), "all")
    added = [replace(everything[0], task_id=FIRST + i) for i in range(beyond)]  # as the corpus gave
    chunks = [] if recipe.pairs_from else dpo.drawn_chunks(recipe, dpo.trained_on(recipe, everything, added))
    assert sum(chunk.n * len(chunk.tasks) for chunk in chunks) == drawn
    watch, models = recipe.watch, sum(recipe.models().values(), [*recipe.baselines, START])
    looks = 1 + len(recipe.units()) * math.ceil(recipe.training.steps / watch.every)
    assert looks * (watch.kl_prompts * watch.kl_samples + watch.pass_tasks * watch.pass_samples) == looked
    asked = final_chunks(recipe.evaluation(recipe.model), mbpp.select(everything, "test"), recipe.temperatures)
    assert len(models) * sum(chunk.n * len(chunk.tasks) for chunk in asked) == evaluated
    header = path.read_text(encoding="utf-8").partition("kind:")[0]
    assert all(f"{count:,}" in header for count in (drawn + looked + evaluated, looked, evaluated))


@pytest.mark.parametrize("path", sorted((CODE.parent / "recipes").glob("q8-*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_of_question_8_is_valid(path: Path) -> None:
    recipe = load(path).recipe
    assert isinstance(recipe, DpoRecipe)
    assert recipe.question == 8
