"""Pretraining on a CPU with a tiny model: it learns, and a killed run continues to the same bits."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from codelab.records import find_records, read_steps

CODE = Path(__file__).resolve().parents[2]


def write_recipe(folder: Path, token_folder: Path, tokenizer_folder: Path, **changes: Any) -> Path:
    values: dict[str, Any] = {
        "kind": "pretrain", "title": "Tiny", "hardware": {"device": "cpu", "minutes": 1},
        "shape": {"layers": 2, "heads": 2, "width": 32, "positions": 32}, "tokens": str(token_folder),
        "tokenizer": str(tokenizer_folder), "output": str(folder / "model"),
        "schedule": {"unit": "tokens", "total": 8 * 32 * 60, "warmup": 0.1, "decay": 0.5},
        "rows_per_step": 8, "rows_per_pass": 4, "evaluate_every": 20, "evaluate_rows": 8, "checkpoint_every": 0.02,
        "precision": "fp32", "compiled": False, "gelu": "sigmoid", "optimizer": {"batched": True},  # as pretrain-gpt2
    }  # fmt: skip
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return path


def command(recipe: Path, results: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "codelab", "run", str(recipe), "--results", str(results), *more]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def finish(recipe: Path, results: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(recipe, results, *more), env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=200
    )


def kill_midway(recipe: Path, results: Path) -> None:
    process = subprocess.Popen(
        command(recipe, results), env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 400
    while process.poll() is None and time.monotonic() < deadline:
        logs = list(results.glob("tiny/.*.partial/steps.jsonl"))
        if logs and logs[0].read_bytes().count(b"\n") >= 25 and list(results.glob("tiny/.*.partial/work/pretrain.pt")):
            process.send_signal(signal.SIGKILL)
            process.wait()
            return
        time.sleep(0.002)
    pytest.fail("the run ended before it could be killed")


def curve(results: Path) -> list[tuple[str, str, str]]:
    ((folder, record),) = find_records(results)
    assert record.state == "ok", record.error
    return [(row["step"], row["loss"], row["heldout_bits_per_byte"]) for row in read_steps(folder)]


@pytest.mark.slow
def test_kill_9_and_continue_gives_the_same_bits(tiny_tokens: Path, tiny_tokenizer: Path, tmp_path: Path) -> None:
    import safetensors.torch
    import torch

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    recipe = write_recipe(whole, tiny_tokens, tiny_tokenizer)
    done = finish(recipe, whole / "results")
    assert done.returncode == 0, done.stderr
    again = write_recipe(broken, tiny_tokens, tiny_tokenizer)
    kill_midway(again, broken / "results")
    assert list(find_records(broken / "results")) == []
    done = finish(again, broken / "results")
    assert done.returncode == 0, done.stderr
    assert "continuing" in done.stderr

    expected = curve(whole / "results")
    assert len(expected) == 60
    assert float(expected[-1][1]) < 0.7 * float(expected[0][1])
    assert curve(broken / "results") == expected
    weights = [safetensors.torch.load_file(folder / "model" / "model.safetensors") for folder in (whole, broken)]
    assert weights[0].keys() == weights[1].keys()
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key]), key


@pytest.mark.slow
def test_a_paused_run_says_so_and_the_model_loads_in_the_end(
    tiny_tokens: Path, tiny_tokenizer: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    recipe = write_recipe(tmp_path, tiny_tokens, tiny_tokenizer)
    paused = finish(recipe, tmp_path / "results", "--stop-after", "0")
    assert paused.returncode == 75, paused.stderr
    assert "paused" in paused.stderr
    assert finish(recipe, tmp_path / "results").returncode == 0
    ((_, record),) = find_records(tmp_path / "results")
    assert record.resumed == 1
    assert record.metrics["tokens"].value == 8 * 32 * 60
    train = json.loads((tiny_tokens / "meta.json").read_text())["splits"]["train"]
    ratio = train["bytes"] / sum(file["tokens"] for file in train["files"])
    held = record.metrics["heldout_bits_per_byte"]
    text = json.loads((tiny_tokens / "meta.json").read_text())["splits"]["heldout"]["bytes"]
    scored, rows = (int(word) for word in (held.method or "").split() if word.isdigit())
    assert scored == 8 < rows
    assert held.n == round(text * scored / rows)
    assert record.metrics["text_bytes"].value == pytest.approx(8 * 32 * 60 * ratio)
    assert [data.source for data in record.data] == [
        f"file:{tiny_tokens.name}/meta.json",
        f"file:{tiny_tokenizer.name}/tokenizer.json",
    ]
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert model.config.vocab_size % 64 == 0
    assert model.config.vocab_size >= len(tokenizer)
    assert model.config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id


# Without a GPU `accelerate launch` starts more than one process only where it is told of GPUs; the processes are then
# told that there is none.
LAUNCHERS = {
    "torch, 1": ["torch.distributed.run", "--nproc_per_node", "1", "--master_port", "29517", "-m"],
    "torch, 2": ["torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29517", "-m"],
    "accelerate, 2": [
        "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "29517", "-m",
    ],
}  # fmt: skip


@pytest.mark.slow
def test_two_processes_train_what_one_does_and_accelerate_launches_the_same(
    tiny_tokens: Path, tiny_tokenizer: Path, tmp_path: Path
) -> None:
    curves, weights = {}, {}
    for name, launch in LAUNCHERS.items():
        folder = tmp_path / name.replace(", ", "-")
        folder.mkdir()
        schedule = {"unit": "tokens", "total": 8 * 32 * 10, "warmup": 0.1, "decay": 0.5}
        recipe = write_recipe(folder, tiny_tokens, tiny_tokenizer, schedule=schedule, evaluate_every=5)
        done = subprocess.run(
            [sys.executable, "-m", *launch, *command(recipe, folder / "results")[2:]],
            env=ENVIRONMENT | {"ACCELERATE_USE_CPU": "true"}, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        ((_, record),) = find_records(folder / "results")
        assert record.metrics["devices"].value == int(name[-1])
        curves[name] = curve(folder / "results")
        weights[name] = (folder / "model" / "model.safetensors").read_bytes()
    assert len(curves["torch, 1"]) == 10
    one, two = ([float(loss) for _, loss, _ in curves[name]] for name in ("torch, 1", "torch, 2"))
    assert two == pytest.approx(one, rel=1e-4)
    assert curves["accelerate, 2"] == curves["torch, 2"]
    assert weights["accelerate, 2"] == weights["torch, 2"]


@pytest.mark.parametrize(("per_pass", "limit"), [(4, 4096), (4, 6), (1, 4096)])
def test_the_held_out_loss_covers_every_row_whatever_a_pass_holds(
    tiny_tokens: Path, tiny_tokenizer: Path, tmp_path: Path, per_pass: int, limit: int
) -> None:
    import torch
    from torch.nn import functional

    from codelab.records import open_run
    from codelab.train.pretrain import PretrainRecipe
    from codelab.train.pretrain_loop import Trainer
    from codelab.train.tokens import open_tokens

    path = write_recipe(tmp_path, tiny_tokens, tiny_tokenizer, rows_per_pass=per_pass, evaluate_rows=limit)
    recipe = PretrainRecipe.model_validate(yaml.safe_load(path.read_text()))
    folder = open_tokens(tiny_tokens)
    trainer = Trainer(recipe, open_run(recipe, "tiny", tmp_path / "results", []), folder)
    starts = folder.heldout.row_starts(32)[:limit]
    assert len(starts) % 4, "the last pass must not be full, or this test says nothing"
    rows = torch.from_numpy(folder.heldout.rows(starts, 32))
    with torch.no_grad():
        logits = trainer.model(rows[:, :-1]).logits
        nats = functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).item()
    expected = nats / math.log(2) * folder.heldout.tokens / folder.heldout.text_bytes
    assert trainer.evaluate() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows_per_step": 6}, ["rows_per_step", "multiple of 4"]),
        ({"tokens": "nowhere"}, ["nowhere/meta.json", "codelab corpus tokenize"]),
        ({"tokenizer": "nowhere"}, ["nowhere/tokenizer.json"]),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    tiny_tokens: Path, tiny_tokenizer: Path, tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    recipe = write_recipe(tmp_path, tiny_tokens, tiny_tokenizer, **changes)
    done = finish(recipe, tmp_path / "results")
    assert done.returncode == 2, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last
    assert not list((tmp_path / "results").glob("tiny/*"))
