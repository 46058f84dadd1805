"""What an evaluation recipe may say. Importable without torch.

Not covered: running it (``codelab.evaluate.experiment``).
"""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from codelab.errors import UserError
from codelab.models.quantization.config import DType, Quantization
from codelab.models.source import ModelSource
from codelab.records import Recipe, Strict
from codelab.tasks.prompts import STYLES

Backend = Literal["transformers", "vllm"]
Split = Literal["prompting", "test", "validation", "train", "all"]


class TransformersOptions(Strict):
    """How transformers generates."""

    batch_rows: int = Field(default=256, ge=1, description="completions generated at once, at most")
    batch_tokens: int = Field(default=262_144, ge=1, description="rows times longest prompt and answer, at most")
    check_every: int = Field(default=16, ge=1, description="tokens between two looks at the stop rule")
    cache: Literal["dynamic", "static"] = "dynamic"
    cudnn_attention: bool = Field(
        default=False, description="let PyTorch take cuDNN's attention, which plans anew for every length"
    )


class VllmOptions(Strict):
    """How vLLM generates."""

    gpu_memory_utilization: float = Field(default=0.5, gt=0, le=1, description="share of the device it may take")
    cache_bytes: int | None = Field(
        default=None, gt=0, description="of keys and values, fixed, so that other programs on the device do not matter"
    )
    max_model_len: int | None = Field(default=None, ge=16, description="prompt and completion; None: the model's own")
    max_num_seqs: int = Field(default=256, ge=1, description="completions in flight")
    enforce_eager: bool = False
    logprobs: bool = Field(default=False, description="keep each completion's log-probability; slower")


class Model(Strict):
    """Which model answers, and through which engine; the part that evaluation and agreement recipes share."""

    model: str = Field(description="hub:…, path:…, pypi:smollm2-135m")
    dtype: DType = "bfloat16"
    device: str = "auto"
    quantization: Quantization | None = None

    @field_validator("model")
    @classmethod
    def _known_source(cls, value: str) -> str:
        try:
            source = ModelSource.parse(value)
        except UserError as error:
            raise ValueError(str(error)) from error
        if source.kind == "scratch":
            raise ValueError("random weights have no tokenizer and nothing to evaluate")
        return value


class Questions(Strict):
    """Which tasks are asked, and how."""

    source: str | None = Field(default=None, description="a mbpp.jsonl or 'hub'; None: the cached file, else the hub")
    split: Split = "test"
    sanitized: bool = False
    limit: int | None = Field(default=None, ge=1, description="only the first tasks of the split")
    prompt: str = Field(description="a style of codelab.tasks.prompts")

    @field_validator("prompt")
    @classmethod
    def _known_style(cls, value: str) -> str:
        if value not in STYLES:
            raise ValueError(f"expected one of {', '.join(STYLES)}")
        return value


class SelectTemperature(Strict):
    """Choose the sampling temperature on another split, before the evaluated split is sampled."""

    temperatures: tuple[float, ...] = Field(min_length=2)
    split: Split = "validation"
    samples: int = Field(default=10, ge=1)
    k: int = Field(default=1, ge=1, description="the pass@k that decides; a tie goes to the lower temperature")
    limit: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _possible(self) -> "SelectTemperature":
        if self.k > self.samples or min(self.temperatures) <= 0 or len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError("needs different temperatures above 0 and at least k samples")
        return self


class Judging(Strict):
    """How completions are run."""

    workers: int | None = Field(default=None, ge=1, description="None: one a core")
    calibrate: bool = Field(default=True, description="time limits from the reference solutions on this machine")


class EvaluateRecipe(Recipe):
    """One model on one split: greedy, and sampled at one or more temperatures."""

    kind: Literal["evaluate"]
    answers: Model
    questions: Questions
    backend: Backend = "transformers"
    greedy: bool = True
    samples: int = Field(default=20, ge=1, description="completions a task at each temperature")
    temperatures: tuple[float, ...] = ()
    select_temperature: SelectTemperature | None = None
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_new_tokens: int = Field(ge=1)
    k: tuple[int, ...] = (1, 10)
    chunk_tasks: int = Field(default=100, ge=1, description="tasks generated before they are judged: the resume step")
    judging: Judging = Judging()
    transformers: TransformersOptions = TransformersOptions()
    vllm: VllmOptions = VllmOptions()

    @model_validator(mode="after")
    def _consistent(self) -> "EvaluateRecipe":
        sampled = bool(self.temperatures or self.select_temperature)
        if not self.greedy and not sampled:
            raise ValueError("nothing to do: greedy is off and there is no temperature")
        if any(value <= 0 for value in self.temperatures) or len(set(self.temperatures)) < len(self.temperatures):
            raise ValueError("temperatures must differ and be above 0; greedy is its own switch")
        if sampled and (not self.k or min(self.k) < 1 or max(self.k) > self.samples * len(self.seeds)):
            raise ValueError("every k needs at least as many samples")
        if self.temperatures and self.select_temperature:
            raise ValueError("either temperatures or select_temperature")
        if self.select_temperature and self.select_temperature.split in {self.questions.split, "all"}:
            raise ValueError("select_temperature must use another split than the one that is evaluated")
        if self.backend == "vllm" and self.answers.quantization:
            raise ValueError("quantized weights are evaluated with backend transformers")
        return self
