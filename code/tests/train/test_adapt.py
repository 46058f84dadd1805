"""The whole ``adapt`` experiment on a tiny random Llama and the real sandbox: record, kill -9, refusals."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from codelab.cli.registry import load
from codelab.records import Run, find_records, read_steps, verify_files
from codelab.tasks.prompts import style_named
from codelab.train import adapt_report
from codelab.train.adapt_loop import Trainer, make_optimizer
from codelab.train.adapt_recipe import AdaptRecipe
from codelab.train.arms_recipe import Unit
from codelab.train.packing import TextRows
from codelab.train.tokens import RowOrder, open_tokens

CODE = Path(__file__).resolve().parents[2]
RATE = 0.003
PAIRS = {"data": "pairs", "rate": RATE}
TARGETS = ["q_proj", "v_proj"]


def values(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "adapt",
        "title": "Tiny",
        "seeds": [0, 1],
        "hardware": {"device": "cpu", "minutes": 1},
        "model": f"path:{folder / 'start'}",
        "text": str(folder / "text"),
        "old": str(folder / "old"),
        "mix": {"mbpp_source": str(folder / "mbpp.jsonl")},
        "reference": "full",
        "arms": {
            "full": {"stages": [PAIRS], "interpolate": [0.5]},
            "then": {
                "stages": [{"data": "text", "rate": RATE, "share": 0.5}, {**PAIRS, "share": 0.5}],
                "judged": False,
            },
            "replay": {"stages": [{**PAIRS, "replay": 0.5}], "judged": False},
            "lora": {
                "stages": [PAIRS],
                "adapter": {"rank": 2, "targets": TARGETS},
                "interpolate": [0.5],
                "judged": [1],
            },
            "kl": {"stages": [PAIRS], "kl": 30.0, "judged": False},
            "pull": {"stages": [PAIRS], "pull": 100.0, "judged": False},
        },
        "budget": {"unit": "steps", "total": 4},
        "length": 318,
        "rows_per_step": 4,
        "rows_per_pass": 2,
        "precision": "fp32",
        "log_every": 1,
        "measures": {"text_rows": 2, "old_rows": 2, "rows_per_pass": 2, "probes_per_pass": 8},
        "questions": {"source": str(folder / "mbpp.jsonl"), "split": "test", "prompt": "docstring"},
        "samples": 2,
        "k": [1, 2],
        "max_new_tokens": 8,
        "judging": {"workers": 1, "calibrate": False},
    } | changes


@pytest.fixture
def world(tmp_path: Path, tiny_tokenizer: Path, tiny_tokens: Path) -> Path:
    """A folder with a tiny random Llama, two token folders, probes and a recipe."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from codelab.train.save import save_model

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512,
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    save_model(LlamaForCausalLM(config), tokenizer, tmp_path / "start", "float32")
    for name in ("text", "old"):
        shutil.copytree(tiny_tokens, tmp_path / name)
    probes = [
        {"id": f"p{i}", "kind": "sum", "source": "s", "prompt": f"{i} + 1 =", "shots": "1 + 1 = 2\n",
         "question": "", "options": [" 7", " 10", " 3", " 4"], "answer": i % 4}
        for i in range(6)
    ]  # fmt: skip
    (tmp_path / "old" / "probes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in probes))
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(values(tmp_path), sort_keys=False))
    return tmp_path


@pytest.mark.slow
def test_the_whole_recipe_killed_twice_and_continued(world: Path) -> None:
    results = world / "results"
    command = [
        sys.executable, str(CODE / "tests/train/dpo_child.py"), str(world / "tiny.yaml"), str(results),
        str(world / "mbpp.jsonl"),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def kill_when(pattern: str, text: str) -> None:
        with (world / "log").open("w") as log:
            child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            deadline = time.monotonic() + 400
            while not any(text in path.read_text() for path in results.glob(pattern)):
                assert child.poll() is None, (world / "log").read_text()[-3000:]
                assert time.monotonic() < deadline
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
            child.wait()

    kill_when("tiny/.*/work/points.jsonl", '"full-seed0"')  # measured, not yet interpolated
    kill_when("tiny/.*/steps.jsonl", '"lora-seed0", "step": 2')  # in the middle of training
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]

    ((folder, record),) = find_records(results)
    verify_files(folder, record)
    assert record.resumed == 2
    arms = ["full", "then", "replay", "lora", "kl", "pull"]
    points = {row["name"]: row for row in record.tables["points"]}
    weighted = {f"{arm}-seed{seed}@0.5" for arm in ("full", "lora") for seed in (0, 1)}
    assert set(points) == {"start", *weighted, *(f"{arm}-seed{seed}" for arm in arms for seed in (0, 1))}

    # Training on completions gains, the start is the origin, and half the weights gain less than all of them.
    assert points["start"]["gain"] == pytest.approx(0)
    assert points["start"]["old_rise"] == pytest.approx(0)
    assert points["full-seed0"]["gain"] > 0.5
    assert 0 < points["full-seed0@0.5"]["gain"] < points["full-seed0"]["gain"]
    assert 0 < points["lora-seed0@0.5"]["gain"] < points["lora-seed0"]["gain"]
    # A remedy gains less than none, and old rows lower the loss on old text more than none do.
    for arm in ("kl", "pull"):
        assert points[f"{arm}-seed0"]["gain"] < points["full-seed0"]["gain"]
    assert points["replay-seed0"]["old_bits"] < points["full-seed0"]["old_bits"]
    assert points["replay-seed0"]["old_label_share"] > 0.5 > points["full-seed0"]["old_label_share"] == 0
    assert points["then-seed0"]["text_bits"] < points["full-seed0"]["text_bits"]
    assert points["lora-seed0"]["trainable"] == 2 * 2 * ((32 + 32) + (32 + 16)) < points["full-seed0"]["trainable"]
    assert {row["tokens"] for name, row in points.items() if name != "start"} == {4 * 4 * 318}

    assert points["full-seed0"]["pass@1"] == 0
    assert points["then-seed0"].get("pass@1") is None
    answered = {name for name, row in points.items() if row.get("pass@1") is not None}
    weights = {f"full-seed{seed}{at}" for seed in (0, 1) for at in ("", "@0.5")}
    assert answered == {"start", *weights, "lora-seed0", "lora-seed1"}
    between = {(row["second"], row["quantity"]): row for row in record.tables["between"]}
    assert {second for second, _ in between} == {*arms} - {"full"}
    assert between["lora", "pass@2"]["n"] == 4  # test tasks
    replay = between["replay", "old_bits"]
    apart = [points[f"replay-seed{seed}"]["old_bits"] - points[f"full-seed{seed}"]["old_bits"] for seed in (0, 1)]
    assert (replay["seeds_least"], replay["seeds_most"]) == pytest.approx((min(apart), max(apart)))
    assert replay["difference"] == pytest.approx(sum(apart) / 2)
    assert (replay["n"], replay["seeds"], replay["verdict"]) == (2, 2, "better")
    assert record.metrics["full.gain"].value == pytest.approx(1)
    assert record.metrics["full.old_rise.seeds"].n == 2
    assert {row["form"] for row in record.tables["probes"]} == {"plain", "shots"}
    steps = [(row["unit"], int(row["step"])) for row in read_steps(folder)]
    assert sorted(steps) == sorted(
        (f"{arm}-seed{seed}", step) for arm in arms for seed in (0, 1) for step in range(1, 5)
    )
    assert not list(folder.glob("**/*.pt"))


def _run(folder: Path) -> Run:
    from codelab.records import open_run

    recipe = load(folder / "tiny.yaml").recipe
    return open_run(recipe, "tiny", folder / "results", ["codelab"])


def _trainer(world: Path, run: Run, arm: str) -> Trainer:
    from codelab.models import load_model

    recipe = load(world / "tiny.yaml").recipe
    assert isinstance(recipe, AdaptRecipe)
    model = load_model(recipe.model, dtype="float32").model
    rows = TextRows(RowOrder(open_tokens(world / "text").train, recipe.length, 0))
    return Trainer(recipe, Unit(name=arm, seed=0), run, (model, None), lambda stage: rows)


def test_a_paused_unit_ends_where_an_unbroken_one_does(world: Path) -> None:
    whole = _trainer(world, _run(world), "full")
    assert whole.train()
    run = whole.run
    (run.work / "full-seed0.pt").unlink()
    first = _trainer(world, run, "full")
    first.step()
    first.step()
    run.stop_after = 0
    assert not first.train()
    run.stop_after = None
    second = _trainer(world, run, "full")
    second.restore()
    assert second.steps == 2
    assert second.train()
    for one, other in zip(whole.parameters, second.parameters, strict=True):
        assert torch.equal(one, other)


def test_a_strong_pull_keeps_the_start(world: Path) -> None:
    run = _run(world)
    free, held = _trainer(world, run, "full"), _trainer(world, run, "pull")
    before = [one.detach().clone() for one in free.parameters]
    for trainer in (free, held):
        trainer.step()
        trainer.step()
    moved, kept = (
        sum(float((one - old).square().sum()) for one, old in zip(trainer.parameters, before, strict=True))
        for trainer in (free, held)
    )
    assert kept < 0.6 * moved


def test_paged_optimizers_want_a_gpu() -> None:
    from codelab.errors import UserError

    with pytest.raises(UserError, match="no GPU"):
        make_optimizer("paged_adamw8bit", [{"params": [torch.zeros(2)]}], (0.9, 0.95))


def test_a_budget_in_seconds_ends_every_stage_after_its_share(world: Path) -> None:
    changed = values(world, budget={"unit": "seconds", "total": 0.6})
    (world / "tiny.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    run = _run(world)
    trainer = _trainer(world, run, "then")
    assert trainer.train()
    rows = [row for row in run.steps_so_far() if row["unit"] == "then-seed0"]
    longest = max(after["seconds"] - before["seconds"] for before, after in itertools.pairwise(rows))
    for data in ("text", "pairs"):
        those = [row["seconds"] for row in rows if row["data"] == data]
        began = 0.0 if data == "text" else max(row["seconds"] for row in rows if row["data"] == "text")
        assert 0.3 <= max(those) - began <= 0.3 + 2 * longest
    assert {row["rate"] for row in rows} != {RATE}


@pytest.mark.parametrize(
    "name",
    [
        *("q1-adapt", "q1-adapt-cpu", "q1-adapt-tiny-cpu"),
        *("q2-quality", "q2-quality-cpu"),
        *("q6-forgetting", "q6-forgetting-cpu", "q6-forgetting-tiny-cpu"),
    ],
)
def test_shipped_recipes_are_valid_and_have_two_seeds(name: str) -> None:
    recipe = load(CODE.parent / "recipes" / f"{name}.yaml").recipe
    assert isinstance(recipe, AdaptRecipe)
    assert len(recipe.seeds) == (1 if name.endswith("tiny-cpu") else 2)
    assert recipe.hardware.cpu_recipe is None or (CODE.parent / recipe.hardware.cpu_recipe).exists()


def test_without_a_gain_of_the_reference_there_is_no_gain_to_measure_by(world: Path) -> None:
    run, recipe = _run(world), load(world / "tiny.yaml").recipe
    assert isinstance(recipe, AdaptRecipe)
    probes = [{"id": "p", "kind": "sum", "form": "plain", "right": 1}]
    start = {"name": "start", "arm": "start", "seed": 0, "weight": 0.0, "completions": [7.0], "completion_bytes": [10],
             "text": [[1.0, 1.0], [2.0, 1.0]], "old": [[1.0, 1.0], [2.0, 1.0]], "probes": probes}  # fmt: skip
    worse = start | {"name": "full-seed0", "arm": "full", "family": "full", "weight": 1.0, "completions": [8.0]}
    for completions, gain in (([8.0], None), ([5.0], 1.0)):
        adapt_report.write(recipe, run, [start, worse | {"completions": completions}], {}, style_named("docstring"))
        rows = {row["name"]: row for row in run._state["tables"]["points"]}
        assert rows["full-seed0"]["gain"] == gain
        assert rows["full-seed0"]["old_rise"] == pytest.approx(0)
    assert any("no gain" in note for note in run._state["notes"])
