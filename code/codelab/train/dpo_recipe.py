"""What a DPO recipe may say. Importable without torch.

Not covered: running it (``codelab.train.dpo``).
"""

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from codelab.evaluate.recipe import (
    Backend,
    EvaluateRecipe,
    Judging,
    Model,
    Questions,
    TransformersOptions,
    VllmOptions,
)
from codelab.models.quantization.config import DType
from codelab.records import Recipe, Strict
from codelab.tasks.prompts import STYLES
from codelab.train.candidates import MutantSettings
from codelab.train.pairs import PairSettings
from codelab.train.sft import Adapter
from codelab.train.trainers import TrainerName

Loss = Literal["sigmoid", "ipo", "hinge", "sft", "robust", "sigmoid_norm"]

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


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
    temperature: float = Field(gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    limit: int | None = Field(default=None, ge=1, description="only the first tasks of each split, for a smoke run")


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
    precision: Literal["bf16", "tf32", "fp32"] = Field(
        default="tf32",
        description="of matrix products; bf16 sees the weights through eight bits, in which small updates vanish",
    )
    log_every: int = Field(default=1, gt=0, description="steps")
    checkpoint_every: int = Field(default=100, gt=0, description="steps")
    adapter: Adapter | None = None

    @model_validator(mode="after")
    def _divides(self) -> "Training":
        if self.batch % self.pairs_per_pass:
            raise ValueError("batch must be a multiple of pairs_per_pass")
        return self


class Watch(Strict):
    """What is measured of the policy while it trains, on its own samples."""

    every: int = Field(gt=0, description="steps; also before the first and after the last")
    kl_prompts: int = Field(default=32, ge=1, description="tasks of the evaluated split, evenly spread")
    kl_samples: int = Field(default=4, ge=1, description="completions a prompt, at temperature 1")
    kl_tokens: int = Field(default=128, ge=1, description="the divergence is that of the first so many tokens")
    pass_tasks: int = Field(default=0, ge=0, description="tasks judged for pass@1; 0: none")
    pass_samples: int = Field(default=4, ge=1)
    pass_split: Literal["validation", "test"] = "validation"


class DpoRecipe(Recipe):
    """Sample, judge, pair, train each arm with each seed, evaluate: one experiment."""

    kind: Literal["dpo"]
    model: str = Field(
        description="the fine-tuned start, which is also the reference: hub:…, path:…, pypi:smollm2-135m"
    )
    output: str = Field(description="folder of the finished models, before -<arm>-seed<k>")
    trainer: TrainerName = "trl"
    baselines: dict[str, str] = Field(default={}, description="further models to evaluate in the same run, by name")
    questions: Questions
    backend: Backend = "transformers"
    dtype: DType = "bfloat16"
    drawn: Drawn
    mutants: MutantSettings = MutantSettings()
    pairs: PairSettings
    arms: dict[str, Objective] = Field(min_length=1)
    training: Training
    watch: Watch
    greedy: bool = True
    samples: int = Field(default=20, ge=1, description="completions a task at each temperature, for evaluation")
    temperatures: tuple[float, ...] = Field(min_length=1)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_new_tokens: int = Field(ge=1)
    k: tuple[int, ...] = (1, 10)
    chunk_tasks: int = Field(default=125, ge=1)
    judging: Judging = Judging()
    transformers: TransformersOptions = TransformersOptions()
    vllm: VllmOptions = VllmOptions()

    @field_validator("arms", "baselines")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        if wrong := [name for name in value if name in {"start", "pairs"} or not _NAME.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r}: expected small letters, digits, dots and dashes; not start, not pairs")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "DpoRecipe":
        if STYLES[self.questions.prompt].opens:
            raise ValueError("prompt: a style that opens the function cannot be trained on")
        if self.questions.split in self.pairs.splits or self.questions.split == "all":
            raise ValueError("the evaluated split must not be one that pairs are made from")
        if self.watch.pass_tasks and self.watch.pass_split in self.pairs.splits:
            raise ValueError("watch.pass_split must not be one that pairs are made from")
        self.evaluation(self.model)
        return self

    def evaluation(self, model: str) -> EvaluateRecipe:
        """The same questions, put to one model, as a recipe of kind ``evaluate``."""
        return EvaluateRecipe(
            kind="evaluate",
            title=self.title,
            seeds=self.seeds[:1],  # one sampling seed: training seeds are what differs
            hardware=self.hardware,
            answers=Model(model=model, dtype=self.dtype),
            questions=self.questions,
            backend=self.backend,
            greedy=self.greedy,
            samples=self.samples,
            temperatures=self.temperatures,
            top_p=self.top_p,
            max_new_tokens=self.max_new_tokens,
            k=self.k,
            chunk_tasks=self.chunk_tasks,
            judging=self.judging,
            transformers=self.transformers,
            vllm=self.vllm,
        )

    def units(self) -> list["Unit"]:
        """What is trained: every arm with every seed."""
        return [Unit(name=name, seed=seed) for name in self.arms for seed in self.seeds]


class Unit(Strict):
    """One arm trained with one seed."""

    name: str
    seed: int

    @property
    def label(self) -> str:
        """Its name in the record."""
        return f"{self.name}-seed{self.seed}"
