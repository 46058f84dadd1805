"""What a DPO recipe may say. Importable without torch.

Not covered: running it (``codelab.train.dpo``).
"""

from typing import Literal

from pydantic import Field, model_validator

from codelab.records import Strict
from codelab.tasks.enlarged import SPLIT
from codelab.train.arms_recipe import ArmsRecipe, Unit, Watch
from codelab.train.candidates import MutantSettings
from codelab.train.pairs import PairSettings
from codelab.train.sft import Adapter
from codelab.train.trainers import Precision, Weights, needs_own_process

EARLY = "-early"
"""Ends the name of a model stopped at its best look."""

__all__ = ["EARLY", "DpoRecipe", "Drawn", "Loss", "Objective", "Training", "Unit", "Watch"]

Loss = Literal["sigmoid", "ipo", "hinge", "sft", "robust", "sigmoid_norm"]


class Objective(Strict):
    """One arm: what is minimised, and how fast."""

    loss: tuple[Loss, ...] = Field(default=("sigmoid",), min_length=1, description="trl's loss_type; the terms add up")
    weights: tuple[float, ...] | None = Field(default=None, description="one a term; None: 1 each")
    beta: float = Field(gt=0, description="strength of the tie to the reference; for ipo it is tau, on another scale")
    rate: float = Field(gt=0, description="peak learning rate")

    @model_validator(mode="after")
    def _weighted(self) -> "Objective":
        if self.weights is not None and len(self.weights) != len(self.loss):
            raise ValueError("weights needs one value a term of loss")
        return self


class Drawn(Strict):
    """How the starting model is sampled for pairs."""

    samples: int = Field(ge=1, description="completions a task")
    enlarged_samples: int | None = Field(
        default=None, ge=1, description="completions a task of pairs.enlarged; None: as many as for MBPP's"
    )
    temperature: float = Field(gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    limit: int | None = Field(default=None, ge=1, description="only the first tasks of each split, for a smoke run")

    def samples_of(self, source: str) -> int:
        """Completions a task of a source: a split of MBPP, or ``enlarged``."""
        return self.enlarged_samples or self.samples if source == SPLIT else self.samples


class Training(Strict):
    """What every arm shares."""

    steps: int = Field(gt=0, description="optimizer steps, so that arms cost the same")
    batch: int = Field(gt=0, description="pairs an optimizer step")
    pairs_per_pass: int = Field(gt=0)
    length: int = Field(gt=0, description="most tokens of prompt and completion; longer pairs are left out, not cut")
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps")
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    disable_dropout: bool = Field(default=True, description="in the policy; noise would blur the log-ratios")
    precompute_reference: bool = Field(default=True, description="reference log-probabilities once, before training")
    precision: Precision = Field(
        default="tf32",
        description="of matrix products; bf16 sees the weights through eight bits, in which small updates vanish",
    )
    log_every: int = Field(default=1, gt=0, description="steps")
    checkpoint_every: int = Field(default=100, gt=0, description="steps")
    adapter: Adapter | None = None
    weights: Weights = Field(
        default="float32", description="of the frozen weights under an adapter; what is trained is float32 in any case"
    )

    @model_validator(mode="after")
    def _possible(self) -> "Training":
        if self.batch % self.pairs_per_pass:
            raise ValueError("batch must be a multiple of pairs_per_pass")
        if self.weights != "float32" and (self.adapter is None or self.precision != "bf16"):
            raise ValueError("weights in 16 bits need an adapter and precision bf16")
        return self


class DpoRecipe(ArmsRecipe):
    """Sample, judge, pair, train each arm with each seed, evaluate: one experiment."""

    kind: Literal["dpo"]
    drawn: Drawn
    mutants: MutantSettings = MutantSettings()
    pairs: PairSettings
    pairs_from: str | None = Field(
        default=None,
        description="train on the pairs of this record (or of the newest one in this folder); drawn, mutants and pairs "
        "then say how they were made, and must agree",
    )
    counterparts: tuple[str, ...] = Field(
        default=(), description="records whose arms of the same name are compared with, task by task"
    )
    arms: dict[str, Objective] = Field(min_length=1)
    training: Training
    early_stop: tuple[str, ...] = Field(
        default=(),
        description="arms of which the best look's model (highest pass@1 on watch.pass_split) is evaluated too",
    )

    @model_validator(mode="after")
    def _stoppable(self) -> "DpoRecipe":
        if not self.early_stop:
            return self
        if unknown := [name for name in self.early_stop if name not in self.arms]:
            raise ValueError(f"early_stop: {unknown[0]!r} is no arm")
        if taken := [name for name in self.early_stop if f"{name}{EARLY}" in self.arms]:
            raise ValueError(f"early_stop: {taken[0]}{EARLY} is an arm already")
        if not self.watch.pass_tasks or self.watch.pass_split == self.questions.split:
            raise ValueError("early_stop: expected watch.pass_tasks, on another split than the evaluated one")
        if self.training.adapter or needs_own_process(self.trainer):
            raise ValueError("early_stop: expected trainer trl and no adapter")
        return self

    def variants(self, name: str) -> tuple[str, ...]:
        """See :meth:`~codelab.train.arms_recipe.ArmsRecipe.variants`."""
        return ("", EARLY) if name in self.early_stop else ("",)

    @property
    def trained_splits(self) -> tuple[str, ...]:
        """Splits of MBPP that pairs are made from."""
        return self.pairs.splits
