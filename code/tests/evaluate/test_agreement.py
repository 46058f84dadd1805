"""Agreement of two engines: where completions part, and how near the tokens are there."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from codelab.evaluate.agreement import coarsest, first_difference, is_tie, spacing

pytest.importorskip("torch")

import torch

from codelab.cli.registry import load
from codelab.cli.run import execute
from codelab.records import read_record, read_samples

from ..models.tiny import model, tokenizer
from .small import data


@pytest.mark.parametrize(
    ("first", "second", "place"), [([1, 2], [1, 2], None), ([1, 2], [1, 3], 1), ([1], [1, 5], 1), ([], [], None)]
)
def test_first_difference(first, second, place):
    assert first_difference(first, second) == place


@pytest.mark.parametrize("value", [0.3, 1.0, 17.5, 100.0, -17.5])
def test_spacing_is_the_distance_to_the_next_number(value):
    up = torch.tensor(abs(value), dtype=torch.bfloat16)
    following = (up.view(torch.int16) + 1).view(torch.bfloat16)
    assert spacing(float(up), "bfloat16") == float(following) - float(up)
    single = np.float32(abs(value))
    assert spacing(float(single), "float32") == float(np.nextafter(single, np.float32(np.inf)) - single)


def test_ties_are_near_and_the_coarser_format_counts():
    assert is_tie({"chosen_gap": 0.25, "spacing": 0.125}, 2)
    assert not is_tie({"chosen_gap": 0.26, "spacing": 0.125}, 2)
    assert not is_tie({"chosen_gap": None, "spacing": 0.125}, 2)
    assert coarsest({"float32", "bfloat16"}) == "bfloat16"


def recipe(tmp_path: Path, **changes) -> Path:
    values = {
        "kind": "agreement",
        "title": "Two precisions",
        "hardware": {"minutes": 1},
        "questions": {"split": "test", "prompt": "docstring"},
        "max_new_tokens": 32,
    } | changes
    path = tmp_path / "agreement.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_two_precisions_part_where_the_record_says(tmp_path, monkeypatch):
    monkeypatch.setattr("codelab.tasks.mbpp.SHA256", "")
    rows = data(tmp_path / "mbpp.jsonl", range(1, 23))
    made = model(positions=512)
    with torch.no_grad():  # near-uniform choices, so that 8 bits of precision flip some
        made.get_output_embeddings().weight.div_(8)
    made.save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    path = recipe(
        tmp_path,
        answers={"model": f"path:{tmp_path / 'model'}", "dtype": "float32", "device": "cpu"},
        questions={"source": str(rows), "split": "test", "prompt": "docstring"},
        other="transformers",
        other_dtype="bfloat16",
        control_batch_rows=1,
    )
    folder = execute(load(path), tmp_path / "results")
    record, samples = read_record(folder), read_samples(folder)
    assert record.metrics["control.identical"].value == 1
    different = [sample for sample in samples if not sample["identical"]]
    assert 0 < len(different) == record.metrics["other.different"].value
    assert record.metrics["other.identical"].value == 1 - len(different) / 12
    table = record.tables["differences_other"]
    assert {row["task_id"] for row in table} == {sample["task_id"] for sample in different}
    assert all(row["chosen_gap"] >= row["top_gap"] - 1e-6 or not row["among_top_two"] for row in table)
    assert record.metrics["other.ties"].value == sum(is_tie(row, 8) for row in table)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_vllm_and_transformers_differ_only_at_ties(tmp_path):
    pytest.importorskip("vllm")
    path = recipe(
        tmp_path,
        answers={"model": "pypi:smollm2-135m", "dtype": "float16"},
        questions={"split": "test", "limit": 48, "prompt": "chat"},
        max_new_tokens=128,
        vllm={
            "gpu_memory_utilization": 0.3,
            "cache_bytes": 8_000_000_000,
            "max_model_len": 4096,
            "enforce_eager": True,
        },
    )
    folder = execute(load(path), tmp_path / "results")
    record = read_record(folder)
    # Another engine changes as much as another batch size; a wrong position or template leaves next to nothing.
    assert record.metrics["other.identical"].value > record.metrics["control.identical"].value - 0.25
    assert record.metrics["other.identical"].value > 0.2
    assert record.metrics["other.ties"].value == record.metrics["other.different"].value
    shutil.rmtree(folder)
