"""What recipes that train several arms from one start share: start, evaluation, looks at the policy. Torch-free.

Not covered: how an arm is trained (``dpo_recipe``, ``grpo_recipe``) and running any of it (``codelab.train.arms``).
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
from codelab.train.trainers import TrainerName

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_TAKEN = frozenset({"start", "pairs", "pool"})


class Watch(Strict):
    """What is measured of the policy while it trains, on its own samples."""

    every: int = Field(gt=0, description="steps; also before the first and after the last")
    kl_prompts: int = Field(default=32, ge=1, description="tasks of the evaluated split, evenly spread")
    kl_samples: int = Field(default=4, ge=1, description="completions a prompt, at temperature 1")
    kl_tokens: int = Field(default=128, ge=1, description="the divergence is that of the first so many tokens")
    pass_tasks: int = Field(default=0, ge=0, description="tasks judged for pass@1; 0: none")
    pass_samples: int = Field(default=4, ge=1)
    pass_split: Literal["validation", "test"] = "validation"


class Unit(Strict):
    """One arm trained with one seed."""

    name: str
    seed: int

    @property
    def label(self) -> str:
        """Its name in the record."""
        return f"{self.name}-seed{self.seed}"


class ArmsRecipe(Recipe):
    """Train each arm with each seed from one start and evaluate all of them beside it: one experiment."""

    model: str = Field(
        description="the fine-tuned start, which is also the reference: hub:…, path:…, pypi:smollm2-135m"
    )
    output: str = Field(description="folder of the finished models, before -<arm>-seed<k>")
    trainer: TrainerName = "trl"
    baselines: dict[str, str] = Field(default={}, description="further models to evaluate in the same run, by name")
    questions: Questions
    backend: Backend = "transformers"
    dtype: DType = "bfloat16"
    arms: dict[str, Any] = Field(min_length=1)
    training: Any
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
        if wrong := [name for name in value if name in _TAKEN or not _NAME.fullmatch(name)]:
            taken = ", ".join(sorted(_TAKEN))
            raise ValueError(f"{wrong[0]!r}: expected small letters, digits, dots and dashes; none of {taken}")
        return value

    @model_validator(mode="after")
    def _apart(self) -> "ArmsRecipe":
        if STYLES[self.questions.prompt].opens:
            raise ValueError("prompt: a style that opens the function cannot be trained on")
        if self.questions.split in self.trained_splits or self.questions.split == "all":
            raise ValueError("the evaluated split must not be one that is trained on")
        if self.watch.pass_tasks and self.watch.pass_split in self.trained_splits:
            raise ValueError("watch.pass_split must not be one that is trained on")
        self.evaluation(self.model)
        return self

    @property
    def trained_splits(self) -> tuple[str, ...]:
        """Splits of MBPP that anything is trained on."""
        return ()

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

    def units(self) -> list[Unit]:
        """What is trained: every arm with every seed."""
        return [Unit(name=name, seed=seed) for name in self.arms for seed in self.seeds]

    def variants(self, name: str) -> tuple[str, ...]:
        """What training an arm leaves to evaluate, as endings of its names: the finished model, and others."""
        return ("",)

    def models(self) -> dict[str, list[str]]:
        """Names of the evaluated models that were trained, one a seed, by arm or variant of an arm."""
        return {
            f"{name}{ending}": [f"{unit.label}{ending}" for unit in self.units() if unit.name == name]
            for name in self.arms
            for ending in self.variants(name)
        }
