"""Supervised fine-tuning with trl: the loss is on the completion only, the data mix is part of the recipe.

Full weights or LoRA adapters (merged at the end). Prompt and completion are tokenised apart, so that no token spans
both, and a pair that does not fit the context is left out and counted, never cut. Not covered: preference training
(``codelab.train.dpo``) and packing, which would let pairs see one another.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field

from codelab.errors import UserError
from codelab.models.generation import Prompt, encode
from codelab.records import DataFacts, Recipe, Run, Strict
from codelab.tasks import instructions, mbpp, prompts

MIXED_UP = frozenset({602, 704, 872})
"""Training and validation tasks whose question stands in the test split too; never trained on."""


class Mix(Strict):
    """What is trained on, and how often each part is seen."""

    mbpp_repeats: int = Field(default=1, ge=0, description="copies of MBPP's train split an epoch")
    mbpp_source: str | None = Field(default=None, description="mbpp.jsonl; found or fetched where left out")
    style: str = Field(default="docstring", description="prompt style of codelab.tasks.prompts")
    instructions: str | None = Field(default=None, description="instructions.jsonl.zst of the corpus")
    instructions_limit: int | None = Field(default=None, gt=0)


class Adapter(Strict):
    """LoRA (Hu et al., 2021) instead of full weights."""

    rank: int = Field(default=16, gt=0)
    alpha: float = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...]


class SftRecipe(Recipe):
    """Everything that decides a fine-tuning run."""

    model: str
    output: str = Field(description="folder for the finished model")
    mix: Mix = Mix()
    adapter: Adapter | None = None
    steps: int = Field(gt=0, description="optimizer steps, so that runs with different mixes cost the same")
    batch: int = Field(default=64, gt=0, description="pairs an optimizer step")
    pairs_per_pass: int = Field(default=32, gt=0)
    length: int = Field(default=1024, gt=0, description="most tokens of prompt and completion together")
    rate: float = Field(default=2e-4, gt=0)
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the steps")
    weight_decay: float = Field(default=0.0, ge=0)
    checkpoint_every: int = Field(default=200, gt=0, description="steps")
    precision: Literal["bf16", "fp32"] = "bf16"
    reference_splits: tuple[Literal["train", "validation", "test"], ...] = Field(
        default=(), description="MBPP splits whose reference solutions are scored at the end: seen and unseen apart"
    )


RECIPE = SftRecipe


@dataclass(frozen=True)
class Example:
    """What is asked and what is learnt; ``key`` names it in messages."""

    prompt: Prompt
    completion: str


class Trains(Protocol):
    """A recipe that trains on pairs."""

    @property
    def mix(self) -> Mix:
        """What is trained on."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The first one shuffles."""


def pairs(recipe: Trains, run: Run) -> list[Example]:
    """The examples of one epoch, in a seeded order.

    Raises:
        UserError: a source is missing, or the mix is empty.
    """
    rows: list[Example] = []
    mix = recipe.mix
    if mix.mbpp_repeats:
        tasks = mbpp.load(mix.mbpp_source)
        run.data(mbpp.facts(mix.mbpp_source))
        train = [task for task in mbpp.select(tasks, "train") if task.task_id not in MIXED_UP]
        rows += solved(train, mix.style, tasks) * mix.mbpp_repeats
    if mix.instructions:
        path = Path(mix.instructions)
        extra = instructions.load(path, limit=mix.instructions_limit)
        run.data(DataFacts.of_file("instructions", path, len(extra)))
        rows += [_example(pair, mix.style) for pair in extra]
    if not rows:
        raise UserError("recipe: mix: expected MBPP repeats, instructions, or both")
    random.Random(recipe.seeds[0]).shuffle(rows)
    return rows


def solved(tasks: Sequence[mbpp.Task], style: str, everything: Sequence[mbpp.Task]) -> list[Example]:
    """Tasks with their reference solutions, in one prompt style; ``everything`` holds the examples that some show."""
    shots = [task for task in everything if task.task_id in prompts.SHOTS]
    return [Example(_question(task, style, shots), prompts.target(task, style)) for task in tasks]


def _question(task: mbpp.Task, style: str, shots: list[mbpp.Task]) -> Prompt:
    key = str(task.task_id)
    if prompts.style_named(style).form == "chat":
        return Prompt(key, messages=tuple(prompts.messages(task, style)))
    return Prompt(key, prompts.prompt(task, style, shots))


def _example(pair: instructions.Instruction, style: str) -> Example:
    code = pair.code.strip() + "\n"
    if prompts.style_named(style).form == "chat":
        return Example(
            Prompt(pair.entry_point, messages=({"role": "user", "content": pair.text},)), f"```python\n{code}```"
        )
    return Example(Prompt(pair.entry_point, instructions.prompt(pair)), code)


def encode_examples(rows: list[Example], tokenizer: Any, length: int) -> list[dict[str, list[int]]]:
    """Token ids of the examples that fit, with a mask of 1 on the completion and its end token."""
    encoded = []
    for row in rows:
        head = encode(tokenizer, row.prompt)
        tail = [*tokenizer(row.completion, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        if len(head) + len(tail) <= length:
            encoded.append({"input_ids": head + tail, "completion_mask": [0] * len(head) + [1] * len(tail)})
    return encoded


def run(recipe: SftRecipe, run: Run) -> None:
    """Fine-tune, and write the model, the loss curve and the metrics.

    Raises:
        UserError: model or data are missing.
        Paused: the allowed time is over.
    """
    rows = pairs(recipe, run)
    from codelab.train.sft_loop import train  # noqa: PLC0415 - needs torch

    train(recipe, run, rows)
