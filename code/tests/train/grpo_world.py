"""A tiny random GPT-2 and a GRPO recipe for it."""

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from ..evaluate.small import rows

CODE = Path(__file__).resolve().parents[2]


def values(folder: Path, **changes: Any) -> dict[str, Any]:
    training = {
        "steps": 4, "completions": 8, "completions_per_pass": 4, "length": 60, "vllm": "none", "precision": "fp32",
        "kl_rows": 4, "keep_samples": 2, "checkpoint_every": 2,
    }  # fmt: skip
    arm = {"reward": "graded", "loss": "grpo", "scale": "group", "beta": 0.04, "group": 4, "rate": 0.001}
    return {
        "kind": "grpo",
        "title": "Tiny",
        "seeds": [0],
        "hardware": {"device": "cpu", "minutes": 1},
        "model": f"path:{folder / 'start'}",
        "output": str(folder / "tuned"),
        "questions": {"source": str(folder / "mbpp.jsonl"), "split": "test", "prompt": "docstring"},
        "dtype": "float32",
        "prompts": {"length": 300, "shown": 2},
        "rewards": {
            "graded": {"parses": 0.2, "defines": 0.1, "runs": 0.1, "tests": 0.2, "passes": 0.4},
            "pass": {"passes": 1.0},
        },
        "arms": {"grpo": arm},
        "training": training | changes.pop("training", {}),
        "watch": {"every": 2, "kl_prompts": 2, "kl_samples": 2, "kl_tokens": 8, "pass_tasks": 2, "pass_samples": 2},
        "samples": 3,
        "temperatures": [0.8],
        "k": [1, 2],
        "max_new_tokens": 60,
        "chunk_tasks": 2,
        "judging": {"workers": 1, "calibrate": False},
    } | changes  # fmt: skip


def make(folder: Path, tokenizer: Path, *, lessons: int = 110, **changes: Any) -> Path:
    """A folder with start model and recipe; returns the recipe."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from codelab.train.save import save_model

    torch.manual_seed(0)
    torch.set_num_threads(1)
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=320, n_positions=512, n_embd=64, n_layer=2, n_head=2, **ends))
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    taught(model, loaded, lessons)
    save_model(model, loaded, folder / "start", "float32")
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values(folder, **changes)))
    return path


def taught(model: Any, tokenizer: Any, steps: int) -> None:
    """Teach the model a little of what the tasks want, so that its answers differ: some parse, some do not."""
    import torch

    from codelab.tasks import prompts
    from codelab.tasks.mbpp import tasks_of_rows

    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    texts = []
    tasks = tasks_of_rows(enumerate(rows(range(601, 609)), 1), "tests")
    for task, shown in itertools.product(tasks, (2, 3)):
        style = replace(prompts.STYLES["docstring"], tests=shown)
        head = tokenizer(prompts.prompt(task, style))["input_ids"]
        tail = [*tokenizer(prompts.target(task, "docstring"))["input_ids"], tokenizer.eos_token_id]
        texts.append((head, tail))
    width = max(len(head) + len(tail) for head, tail in texts)
    ids, labels = torch.zeros(len(texts), width, dtype=torch.long), torch.full((len(texts), width), -100)
    for i, (head, tail) in enumerate(texts):
        ids[i, : len(head) + len(tail)] = torch.tensor([*head, *tail])
        labels[i, len(head) : len(head) + len(tail)] = torch.tensor(tail)
    for _ in range(steps):
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def child(recipe: Path, results: Path) -> subprocess.Popen[str]:
    """Run the recipe in a process of its own; its output goes to ``log`` beside the recipe."""
    command = [sys.executable, str(CODE / "tests/train/dpo_child.py"), recipe, results, recipe.parent / "mbpp.jsonl"]
    environment = {**os.environ, "PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with (recipe.parent / "log").open("w") as log:
        return subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log, text=True)
