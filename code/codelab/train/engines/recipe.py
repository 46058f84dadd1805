"""What a recipe of kind ``engines`` may say, and the cells it comes to. Importable without torch.

Not covered: measuring a cell (``sampling``, ``training``) and putting cells together (``report``).
"""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from codelab.errors import UserError
from codelab.evaluate.recipe import Backend, Questions, TransformersOptions, VllmOptions
from codelab.models.quantization.config import DType
from codelab.models.source import ModelSource
from codelab.records import Recipe, Strict
from codelab.train.trainers import Precision, TrainerName, Weights

Start = Literal["cold", "warm"]
Method = Literal["full", "lora"]


class Subject(Strict):
    """A model: where from, which layers an adapter covers, and which of the cells it has."""

    source: str
    targets: tuple[str, ...] = Field(min_length=1)
    methods: tuple[Method, ...] | None = Field(default=None, description="None: those of the recipe")
    sampled: bool = Field(default=True, description="whether it is put into the samplers")

    @field_validator("source")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ModelSource.parse(value)
        except UserError as error:
            raise ValueError(str(error)) from error
        return value


class Sampler(Strict):
    """A sampling engine with its options."""

    backend: Backend
    transformers: TransformersOptions = TransformersOptions()
    vllm: VllmOptions = VllmOptions()


class SamplingCost(Strict):
    """What is sampled: so many completions of fixed length; the largest count is repeated."""

    dtype: DType = "bfloat16"
    new_tokens: int = Field(default=128, ge=1, description="of every completion; end tokens are generated past")
    per_prompt: int = Field(default=16, ge=1, description="completions a prompt, as for pass@k")
    counts: tuple[int, ...] = Field(default=(16, 128, 512), min_length=1)
    repeats: int = Field(default=3, ge=1, description="of the largest count")
    temperature: float = Field(default=0.8, gt=0)
    evaluated: int = Field(default=128, ge=1, description="tasks answered greedily, once each, as they are asked")

    @model_validator(mode="after")
    def _whole_prompts(self) -> "SamplingCost":
        if any(count % self.per_prompt for count in self.counts) or list(self.counts) != sorted(set(self.counts)):
            raise ValueError("counts must rise and be multiples of per_prompt")
        return self


class Asked(Strict):
    """What an experiment asks: real questions with their stop rules, answers as long as they come; others a repeat."""

    tasks: int = Field(default=64, ge=1, description="of a repeat")
    per_task: int = Field(default=16, ge=1)
    new_tokens: int = Field(default=256, ge=1, description="at most")
    temperature: float = Field(default=0.8, gt=0)
    repeats: int = Field(default=3, ge=1)


class TrainingCost(Strict):
    """What is trained: DPO steps on pairs of exactly the given length; the first steps of a length are its warm-up."""

    precision: Precision = "bf16"
    adapter_weights: Weights = Field(default="bfloat16", description="of the frozen weights under an adapter")
    rank: int = Field(default=16, gt=0)
    alpha: float = Field(default=32, gt=0)
    batch: int = Field(default=16, ge=1, description="pairs an optimizer step")
    pairs_per_pass: int = Field(default=8, ge=1)
    warm_steps: int = Field(default=3, ge=1)
    steps: int = Field(default=4, ge=1, description="of a repeat")
    repeats: int = Field(default=3, ge=1)

    @model_validator(mode="after")
    def _divides(self) -> "TrainingCost":
        if self.batch % self.pairs_per_pass:
            raise ValueError("batch must be a multiple of pairs_per_pass")
        return self


class Job(Strict):
    """A whole experiment, whose seconds are reckoned from the measured starts and rates."""

    sampled: int = Field(ge=0, description="completions for pairs")
    steps: int = Field(ge=0, description="optimizer steps")
    evaluated: int = Field(ge=0, description="completions of the finished model")


class Cell(Strict):
    """One process: a model in a sampling engine or under a trainer, started with empty or with full caches."""

    role: Literal["sample", "train"]
    model: str
    engine: str
    method: Method | None = None
    start: Start

    @property
    def group(self) -> str:
        """What a cold and a warm start of the same share."""
        return ".".join(filter(None, [self.role, self.model, self.engine, self.method]))

    @property
    def key(self) -> str:
        """Its name in the record."""
        return f"{self.group}.{self.start}"


class EnginesRecipe(Recipe):
    """Every model in every sampling engine and under every trainer, each in processes of its own."""

    kind: Literal["engines"]
    device: Literal["auto", "cpu", "cuda"] = "auto"
    models: dict[str, Subject] = Field(min_length=1)
    samplers: dict[str, Sampler] = Field(default={}, description="by name; the first is the one compared with")
    trainers: tuple[TrainerName, ...] = Field(default=(), description="the first is the one compared with")
    methods: tuple[Method, ...] = ("full",)
    lengths: tuple[int, ...] = Field(default=(512, 1024), min_length=1, description="tokens of prompt and completion")
    questions: Questions
    sampling: SamplingCost = SamplingCost()
    asked: Asked | None = Field(default=None, description="beside fixed lengths, answers that end by themselves")
    training: TrainingCost = TrainingCost()
    job: Job
    restarts: tuple[str, ...] = Field(default=(), description="models that are also started with full caches")
    restart_engines: tuple[str, ...] = Field(
        default=(), description="those alone, as the others compile nothing; (): all"
    )
    skip_absent: bool = Field(default=False, description="leave out what is not installed and say so")
    look_seconds: float = Field(default=0.1, gt=0, description="between two looks at memory")
    looks_kept: int = Field(default=120, ge=10, description="rows of memory over time that a cell leaves")
    cell_minutes: float = Field(default=8, gt=0, description="a cell that takes longer is stopped")

    @model_validator(mode="after")
    def _possible(self) -> "EnginesRecipe":
        if not self.samplers and not self.trainers:
            raise ValueError("expected samplers, trainers or both")
        if unknown := [name for name in self.restarts if name not in self.models]:
            raise ValueError(f"restarts: {unknown[0]!r} is not one of models")
        if unknown := [name for name in self.restart_engines if name not in (*self.samplers, *self.trainers)]:
            raise ValueError(f"restart_engines: {unknown[0]!r} is no sampler and no trainer")
        if min(self.lengths) <= self.sampling.new_tokens:
            raise ValueError("lengths: must leave room for a prompt before sampling.new_tokens")
        if any("." in name for name in (*self.models, *self.samplers)):
            raise ValueError("names of models and samplers: no dots")
        return self

    def cells(self) -> list[Cell]:
        """All processes in the order in which they run; a warm start follows its cold one."""
        made = []
        for model, subject in self.models.items():
            for sampler in self.samplers if subject.sampled else ():
                starts = self.starts(model, sampler)
                made += [Cell(role="sample", model=model, engine=sampler, start=start) for start in starts]
            for trainer in self.trainers:
                starts = self.starts(model, trainer)
                for method in subject.methods or self.methods:
                    made += [
                        Cell(role="train", model=model, engine=trainer, method=method, start=start) for start in starts
                    ]
        return made

    def starts(self, model: str, engine: str) -> tuple[Start, ...]:
        """How often, and with which caches, an engine is started with a model."""
        again = model in self.restarts and (not self.restart_engines or engine in self.restart_engines)
        return ("cold", "warm") if again else ("cold",)

    def start_of(self, model: str, engine: str, start: Start) -> Start:
        """The start that was measured: an engine left out of the restarts compiles nothing, and starts alike twice."""
        left_out = model in self.restarts and start not in self.starts(model, engine)
        return "cold" if left_out else start
