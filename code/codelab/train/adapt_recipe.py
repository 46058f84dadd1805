"""What a recipe of kind ``adapt`` may say: arms that change one start by further training, and how all are measured.

An arm is a sequence of stages (raw text of a domain, or prompt and completion pairs) under one budget, with at most
one remedy against forgetting beside it. Importable without torch. Not covered: running it (``codelab.train.adapt``).
"""

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from codelab.evaluate.recipe import Judging, Questions, TransformersOptions
from codelab.models.quantization.config import Quantization
from codelab.models.source import ModelSource
from codelab.records import Recipe, Strict
from codelab.train.arms_recipe import Unit
from codelab.train.sft import Adapter, Mix

START = "start"
GAIN = "gain"
OptimizerName = Literal["adamw", "paged_adamw32bit", "paged_adamw8bit"]
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


class Stage(Strict):
    """One stretch of training with one kind of data and one learning-rate curve."""

    data: Literal["text", "pairs"]
    share: float = Field(default=1.0, gt=0, le=1, description="of the arm's budget; the shares of an arm sum to 1")
    rate: float = Field(gt=0, description="peak learning rate; the curve starts at 0: re-warming")
    warmup: float = Field(default=0.05, ge=0, lt=1, description="share of the stage")
    decay: float = Field(default=0.4, ge=0, le=1, description="share of the stage, at its end, linear")
    final: float = Field(default=0.0, ge=0, le=1, description="factor at the end; 1 with decay 0 is a constant rate")
    replay: float = Field(default=0.0, ge=0, lt=1, description="share of the rows that are old text")


class Arm(Strict):
    """What is done to the start."""

    stages: tuple[Stage, ...] = Field(min_length=1)
    adapter: Adapter | None = Field(default=None, description="LoRA instead of full weights")
    quantization: Quantization | None = Field(default=None, description="of the frozen base, with an adapter: QLoRA")
    optimizer: OptimizerName = "adamw"
    pull: float = Field(default=0.0, ge=0, description="decoupled L2 pull to the start: w -= rate * pull * (w - start)")
    kl: float = Field(default=0.0, ge=0, description="weight of KL(start || policy) a token, on the rows of each batch")
    interpolate: tuple[float, ...] = Field(
        default=(), description="weights a of start + a (trained - start), measured after training beside 1"
    )
    judged: bool | tuple[float, ...] = Field(
        default=True, description="answer the questions too, not only losses and probes; or at which of the weights"
    )
    family: str | None = Field(default=None, description="arms that differ in one knob; drawn as one curve")

    @model_validator(mode="after")
    def _possible(self) -> "Arm":
        if abs(sum(stage.share for stage in self.stages) - 1) > 1e-6:
            raise ValueError("stages: the shares must sum to 1")
        if self.quantization and not self.adapter:
            raise ValueError("quantization: quantised weights cannot be trained; give an adapter")
        if self.adapter and (self.pull or self.kl):
            raise ValueError("pull and kl are remedies of full training; an adapter is one of its own")
        if any(not 0 < a < 1 for a in self.interpolate):
            raise ValueError("interpolate: expected numbers between 0 and 1; 0 is the start and 1 is always measured")
        if not isinstance(self.judged, bool) and not {*self.judged} <= {1.0, *self.interpolate}:
            raise ValueError("judged: expected true, false, or weights among 1 and those of interpolate")
        return self

    def answers(self, weight: float) -> bool:
        """Whether the questions are put to this weight of the interpolation; 1 is the trained model."""
        return self.judged if isinstance(self.judged, bool) else weight in self.judged


class Pair(Strict):
    """Two places that are compared, the second minus the first.

    A place is an arm, ``arm@0.4`` (a weight that it interpolates at), ``start``, or, as the first only, ``arm@gain``:
    the arm's interpolation where it gains what the second gains, for losses on text alone.
    """

    first: str
    second: str
    passing: bool | None = Field(default=None, description="compare pass@k too; None: where both answer the questions")


def point_name(label: str, weight: float) -> str:
    """Name of a measured point: the unit's or the arm's, with the interpolation weight where it is not 1."""
    return label if weight == 1 else f"{label}@{weight:g}"


class Budget(Strict):
    """What each arm may spend; equal for all, so that remedies that cost time pay for it."""

    unit: Literal["seconds", "steps"]
    total: float = Field(gt=0, description="seconds of optimizer steps (no loading, no measuring), or steps")


class Measures(Strict):
    """What is measured of the start, of every arm and of every interpolation."""

    text_rows: int = Field(default=512, ge=2, description="held-out rows of the domain")
    old_rows: int = Field(default=1024, ge=2, description="held-out rows of old text")
    spread: bool = Field(default=False, description="rows evenly over the held-out text instead of its first ones")
    probes: int | None = Field(default=None, ge=1, description="probes of each kind; None: all")
    completions: int | None = Field(default=None, ge=1, description="validation tasks; None: all")
    rows_per_pass: int = Field(default=32, ge=1)
    probes_per_pass: int = Field(default=128, ge=1, description="sequences, four a probe")


class AdaptRecipe(Recipe):
    """Adapt one start in several ways at equal cost, and measure what is gained and what is lost."""

    kind: Literal["adapt"]
    model: str
    text: str = Field(description="token folder of the domain: codelab corpus tokenize-for")
    old: str = Field(description="token folder of old text, with probes.jsonl")
    mix: Mix = Mix()
    arms: dict[str, Arm] = Field(min_length=1)
    reference: str = Field(description="arm whose gain counts as 1: training without a remedy")
    pairs: dict[str, Pair] = Field(default={}, description="compared row by row; none: every arm with the reference")
    budget: Budget
    length: int = Field(default=1024, ge=8, description="tokens of a row")
    rows_per_step: int = Field(default=32, ge=1)
    rows_per_pass: int = Field(default=32, ge=1)
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0)
    precision: Literal["bf16", "fp32"] = Field(default="bf16", description="bf16: autocast over float32 weights")
    log_every: int = Field(default=10, ge=1, description="steps")
    checkpoint_every: float = Field(default=120.0, gt=0, description="seconds")
    measures: Measures = Measures()
    questions: Questions
    samples: int = Field(default=10, ge=1, description="completions a task")
    temperature: float = Field(default=0.6, gt=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_new_tokens: int = Field(ge=1)
    k: tuple[int, ...] = (1, 10)
    judging: Judging = Judging()
    transformers: TransformersOptions = TransformersOptions()

    @field_validator("arms")
    @classmethod
    def _names(cls, value: dict[str, Arm]) -> dict[str, Arm]:
        if wrong := [name for name in value if name == START or not _NAME.fullmatch(name)]:
            raise ValueError(f"{wrong[0]!r}: expected small letters, digits, dots and dashes, and not {START!r}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "AdaptRecipe":
        if self.reference not in self.arms:
            raise ValueError(f"reference: no arm {self.reference!r}")
        if self.rows_per_step % self.rows_per_pass:
            raise ValueError("rows_per_step: expected a multiple of rows_per_pass")
        if ModelSource.parse(self.model).kind == "scratch":
            raise ValueError("model: random weights have nothing to forget")
        if self.questions.split != "test":
            raise ValueError("questions: split: train is trained on and validation gives the completion loss; use test")
        if min(self.k) < 1 or max(self.k) > self.samples:
            raise ValueError("every k needs at least as many samples")
        for name, pair in self.pairs.items():
            self._comparable(name, pair)
        return self

    def _comparable(self, name: str, pair: Pair) -> None:
        for place in (pair.first, pair.second):
            arm, at, weight = place.partition("@")
            known = self.arms[arm].interpolate if arm in self.arms else ()
            weights = {*(f"{one:g}" for one in known), *([GAIN] if known and place == pair.first else [])}
            if place != START and (arm not in self.arms or (at and weight not in weights)):
                raise ValueError(f"pairs: {name}: no place {place!r}; expected an arm, arm@weight or {START!r}")
            if pair.passing and not self.answers(place):
                raise ValueError(f"pairs: {name}: {place!r} answers no questions, so there is no pass@k to compare")
        if pair.first == pair.second:
            raise ValueError(f"pairs: {name}: expected two places")

    def answers(self, place: str) -> bool:
        """Whether the questions are put to a place that a pair names."""
        arm, _, weight = place.partition("@")
        if place == START:
            return any(one.judged for one in self.arms.values())
        return weight != GAIN and self.arms[arm].answers(float(weight or 1))

    def compared(self) -> dict[str, Pair]:
        """The pairs by name; every other arm with the reference where the recipe names none."""
        others = {name: Pair(first=self.reference, second=name) for name in self.arms if name != self.reference}
        return self.pairs or {f"{name}-over-{self.reference}": pair for name, pair in others.items()}

    def units(self) -> list[Unit]:
        """What is trained: every arm with the first seed, then with the next, so that a partial run compares arms."""
        return [Unit(name=name, seed=seed) for seed in self.seeds for name in self.arms]
