"""Supervised fine-tuning: the mask by table, the data mix, and a tiny run that learns and continues after a pause."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
import zstandard

from codelab.errors import UserError
from codelab.measure import environment
from codelab.models.generation import Prompt
from codelab.records import DataFacts, Hardware, find_records, open_run, read_record, read_steps
from codelab.tasks import mbpp
from codelab.train.sft import MIXED_UP, Example, Mix, SftRecipe, encode_examples, pairs, solved

CODE = Path(__file__).resolve().parents[2]


class Letters:
    """One token a letter; the end token is 0."""

    eos_token_id = 0

    def __call__(self, text: str, add_special_tokens: bool = False) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(letter) for letter in text]}


def test_the_loss_covers_the_completion_and_its_end_alone() -> None:
    rows = [Example(Prompt("1", "ab"), "c"), Example(Prompt("2", "abcd"), "efg")]
    assert encode_examples(rows, Letters(), 4) == [{"input_ids": [97, 98, 99, 0], "completion_mask": [0, 0, 1, 1]}]
    assert len(encode_examples(rows, Letters(), 8)) == 2
    assert len(encode_examples(rows, Letters(), 7)) == 1


def test_a_chat_model_learns_in_its_own_form(instructions: Path, tmp_path: Path) -> None:
    run = open_run(recipe(), "sft", tmp_path / "results", [])
    (only,) = pairs(recipe(mbpp_repeats=0, instructions=str(instructions), instructions_limit=1, style="chat"), run)
    assert only.prompt.messages == ({"role": "user", "content": "Return 0."},)
    assert only.completion == "```python\ndef f0():\n    return 0\n```"


@pytest.fixture
def instructions(tmp_path: Path) -> Path:
    """Eight pairs as the corpus builder writes them."""
    path = tmp_path / "instructions.jsonl.zst"
    rows = [
        {"text": f"Return {i}.", "code": f"def f{i}():\n    return {i}", "entry_point": f"f{i}", "source": "a/b:c.py"}
        for i in range(8)
    ]
    path.write_bytes(zstandard.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return path


@pytest.fixture
def mbpp_file(tmp_path: Path) -> Path:
    """Rows of the train split, one of which stands in the test split too."""
    path = tmp_path / "mbpp.jsonl"
    rows = [
        {
            "text": f"Write a function to return {i}.", "code": f"def g{i}():\n  return {i}", "task_id": i,
            "test_setup_code": "", "test_list": [f"assert g{i}() == {i}"] * 3, "challenge_test_list": [],
        }
        for i in (602, 605, 606)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe(**mix: Any) -> SftRecipe:
    return SftRecipe(
        kind="sft", title="t", hardware=Hardware(minutes=1), model="path:x", output="y", steps=1, mix=Mix(**mix)
    )


def test_the_mix_is_what_the_recipe_says(instructions: Path, tmp_path: Path) -> None:
    run = open_run(recipe(), "sft", tmp_path / "results", [])
    only = pairs(recipe(mbpp_repeats=0, instructions=str(instructions), instructions_limit=5), run)
    assert len(only) == 5
    assert {row.completion for row in only} == {f"def f{i}():\n    return {i}\n" for i in range(5)}
    assert all(row.prompt.text.startswith('"""\nReturn') for row in only)
    assert [row.prompt.text for row in only] != sorted(row.prompt.text for row in only)
    with pytest.raises(UserError, match="expected MBPP repeats"):
        pairs(recipe(mbpp_repeats=0), run)


def test_tasks_whose_question_is_in_the_test_split_are_never_trained_on(
    mbpp_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = mbpp.load(mbpp_file, verify=False)
    monkeypatch.setattr(mbpp, "load", lambda _source: tasks)
    monkeypatch.setattr(mbpp, "facts", lambda _source: DataFacts(name="mbpp", source="test"))
    run = open_run(recipe(), "sft", tmp_path / "results", [])
    rows = pairs(recipe(mbpp_repeats=2), run)
    assert 602 in MIXED_UP
    assert (
        sorted(row.completion for row in rows)
        == ["def g605():\n  return 605\n"] * 2 + ["def g606():\n  return 606\n"] * 2
    )


@pytest.mark.parametrize("text", ["", "not zstd"])
def test_a_damaged_instruction_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "instructions.jsonl.zst"
    if text:
        path.write_text(text)
    run = open_run(recipe(), "sft", tmp_path / "results", [])
    with pytest.raises(UserError, match=r"instructions\.jsonl\.zst"):
        pairs(recipe(mbpp_repeats=0, instructions=str(path)), run)


@pytest.mark.slow
def test_a_tiny_run_learns_pauses_and_continues(tiny_tokenizer: Path, instructions: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

    from codelab.train.save import save_model

    config = GPT2Config(vocab_size=320, n_positions=128, n_embd=32, n_layer=2, n_head=2)
    save_model(GPT2LMHeadModel(config), tiny_tokenizer, tmp_path / "start")
    values: dict[str, Any] = {
        "kind": "sft", "title": "Tiny", "hardware": {"device": "cpu", "minutes": 1}, "steps": 60, "batch": 8,
        "model": f"path:{tmp_path / 'start'}", "output": str(tmp_path / "tuned"), "pairs_per_pass": 4, "length": 128,
        "rate": 0.01, "precision": "fp32", "mix": {"mbpp_repeats": 0, "instructions": str(instructions)},
    }  # fmt: skip
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "codelab", "run", str(path), "--results", str(tmp_path / "results")]
    variables = {**os.environ, "PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def go(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *more], env=variables, capture_output=True, text=True, check=False, timeout=600
        )

    paused = go("--stop-after", "1")
    assert paused.returncode == 75, paused.stderr
    done = go()
    assert done.returncode == 0, done.stderr
    ((folder, record),) = find_records(tmp_path / "results")
    losses = [float(row["loss"]) for row in read_steps(folder) if row["loss"]]
    assert len(losses) == 60
    assert losses[-1] < 0.5 * losses[0]
    assert record.resumed == 1
    assert record.metrics["pairs"].value == 8
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "tuned").config.vocab_size == 320


def test_references_are_scored_a_token_by_split(
    tiny_tokenizer: Path, mbpp_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from codelab.train import sft_loop

    tasks = mbpp.load(mbpp_file, verify=False)
    monkeypatch.setattr(mbpp, "load", lambda _source: tasks)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=320, n_positions=256, n_embd=32, n_layer=2, n_head=2))
    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    wanted = recipe().model_copy(update={"reference_splits": ("train",), "length": 256, "precision": "fp32"})
    run = open_run(wanted, "sft", tmp_path / "results", [])
    sft_loop.score_references(wanted, run, model, tokenizer)
    run.environment(environment.facts(), None)
    metric = read_record(run.finish()).metrics["loss.train"]

    nats, count = 0.0, 0
    for row in encode_examples(solved(tasks[1:], "docstring", tasks), tokenizer, 256):  # 602 stands in the test split
        ids = torch.tensor([row["input_ids"]])
        with torch.no_grad():
            scores = model.eval()(ids).logits[0, :-1].log_softmax(-1)
        mask = torch.tensor(row["completion_mask"][1:], dtype=torch.bool)
        nats -= float(scores.gather(1, ids[0, 1:, None])[mask].sum())
        count += int(mask.sum())
    assert metric.n == 2
    assert metric.value == pytest.approx(nats / count, rel=1e-5)
