"""Pretrain a GPT-2 from random weights on packed token rows, and continue it exactly after a kill.

The model is transformers' ``GPT2LMHeadModel`` (Radford et al., 2019: 12 layers, width 768, 12 heads, 1,024 positions
for the 124M size); the loss is taken on the whole row with tied input and output embeddings. Runs under ``accelerate
launch`` on several GPUs with the same tokens a step. Not covered: tensor or pipeline parallelism, and cutting attention
at document borders.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from codelab.errors import Paused, UserError
from codelab.records import DataFacts, Recipe, Run, Strict
from codelab.train.optimizers import OptimizerSettings
from codelab.train.schedule import Schedule
from codelab.train.tokens import open_tokens

CHECKPOINT = "pretrain.pt"


class Shape(Strict):
    """GPT-2's sizes; the defaults are the 124M model."""

    layers: int = Field(default=12, gt=0)
    heads: int = Field(default=12, gt=0)
    width: int = Field(default=768, gt=0)
    positions: int = Field(default=1024, gt=0)


class PretrainRecipe(Recipe):
    """Everything that decides a pretraining run."""

    shape: Shape = Shape()
    tokens: str = Field(description="folder that `codelab corpus tokenize` wrote")
    tokenizer: str = Field(description="folder with the tokenizer, copied beside the weights")
    output: str = Field(description="folder for the finished model")
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: Schedule
    rows_per_step: int = Field(default=512, gt=0, description="rows of one optimizer step, over all devices")
    rows_per_pass: int = Field(default=64, gt=0, description="rows of one forward pass on one device")
    evaluate_every: int = Field(default=100, gt=0, description="steps")
    evaluate_rows: int = Field(default=512, gt=0, description="held-out rows, the first ones")
    checkpoint_every: float = Field(default=120.0, gt=0, description="seconds")
    precision: Literal["bf16", "fp32"] = "bf16"
    compiled: bool = True
    attention: Literal["auto", "flash", "cudnn"] = "auto"
    mask: Literal["flag", "tensor"] = Field(
        default="flag",
        description="flag: the kernel is told that attention is causal; tensor: it reads a mask, which transformers "
        "makes in a compiled model, as in the runs before this choice",
    )
    gelu: Literal["tanh", "sigmoid"] = Field(default="tanh", description="two ways to write the same function")
    tuning: Literal["none", "kernels", "all"] = Field(
        default="none", description="what the compiler tries out: nothing, its own kernels, matrix products too"
    )


RECIPE = PretrainRecipe


def run(recipe: PretrainRecipe, run: Run) -> None:
    """Train, evaluate, checkpoint; at the end write the model and the metrics.

    Raises:
        UserError: tokens or tokenizer are missing or do not fit the model.
        Paused: the allowed time is over.
    """
    folder = open_tokens(Path(recipe.tokens))
    tokenizer = Path(recipe.tokenizer) / "tokenizer.json"
    if not tokenizer.exists():
        raise UserError(f"{tokenizer}: missing; make it with: codelab corpus tokenizer")
    meta = Path(recipe.tokens) / "meta.json"  # holds the SHA-256 of every token file
    run.data(DataFacts.of_file("corpus", meta, folder.train.tokens, folders=1))
    run.data(DataFacts.of_file("tokenizer", tokenizer, folders=1))
    from codelab.train.pretrain_loop import Trainer  # noqa: PLC0415 - needs torch

    trainer = Trainer(recipe, run, folder)
    trainer.restore()
    while not trainer.finished:
        trainer.step()
        if trainer.time_is_up(reserve=15):
            trainer.save()
            trainer.close()
            raise Paused
    trainer.finish()
    trainer.close()
