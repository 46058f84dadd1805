"""What a GRPO recipe may say. Importable without torch.

trl's defaults are not the papers', so what decides a run has no default of trl's: a recipe states it, and the record
holds it. Not covered: running it (``codelab.train.grpo``).
"""

from typing import Literal

from pydantic import Field, model_validator

from codelab.records import Strict
from codelab.train.arms_recipe import ArmsRecipe
from codelab.train.rewards import Weights
from codelab.train.sft import Adapter


class Filter(Strict):
    """Choose prompts by a first pass of the start over all of them: where nothing varies, nothing is learnt."""

    samples: int = Field(ge=2, description="completions a task")
    temperature: float = Field(gt=0, description="that of training, or the shares mean nothing for it")
    keep: Literal["varied", "solvable"] = Field(
        description="varied: the rewards of the first arm differ; solvable: some completions pass and some do not"
    )
    repeats: int = Field(
        default=1, ge=1, description="how often a task that the start solved, but not always, stands in the pool"
    )


class Prompts(Strict):
    """What the policy is asked in training."""

    splits: tuple[Literal["train", "validation"], ...] = Field(default=("train",))
    enlarged: str | None = Field(default=None, description="instructions.jsonl.zst; pairs with examples become tasks")
    least_tests: int = Field(default=2, ge=1, description="different examples that such a pair must have")
    limit: int | None = Field(default=None, ge=1, description="only the first tasks of each source, for a smoke run")
    shown: int = Field(
        default=3, ge=0, le=3, description="tests in the prompt; the others are judged and rewarded all the same"
    )
    length: int = Field(gt=0, description="most tokens of a prompt; longer ones are left out and counted")
    filter: Filter | None = None

    @model_validator(mode="after")
    def _something(self) -> "Prompts":
        if not self.splits and not self.enlarged:
            raise ValueError("expected splits, enlarged, or both")
        return self


class Objective(Strict):
    """One arm: what is rewarded, what is minimised, and how fast."""

    reward: str = Field(description="a name of rewards")
    loss: Literal["grpo", "dr_grpo", "bnpo", "dapo"] = Field(
        description="trl's loss_type: how token losses are averaged"
    )
    scale: Literal["group", "batch", "none"] = Field(description="what advantages are divided by the spread of")
    beta: float = Field(ge=0, description="weight of the divergence (k3) from the start in the loss")
    group: int = Field(ge=2, description="completions a prompt")
    rate: float = Field(gt=0, description="peak learning rate")
    epsilon: float = Field(default=0.2, gt=0, description="ratios below 1 - epsilon are clipped")
    epsilon_high: float | None = Field(default=None, gt=0, description="ratios above 1 + this; None: epsilon")
    iterations: int = Field(default=1, ge=1, description="optimizer steps a batch of completions")
    mask_truncated: bool = Field(
        default=False, description="keep completions that the length limit cut out of the loss; they stay in the group"
    )
    unbiased_kl: bool = Field(default=False, description="weigh the divergence by the ratio; matters for its gradient")


class Correction(Strict):
    """Bounds the ratio between the trainer's and vLLM's probabilities of a completion; trl's own default differs."""

    mode: Literal["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"] = "token_truncate"
    most: float = Field(default=2.0, gt=1)


class Training(Strict):
    """What every arm shares."""

    steps: int = Field(gt=0, description="optimizer steps; with seconds: at most")
    seconds: float | None = Field(
        default=None, gt=0, description="end after so many of sampling, judging and training; looks do not count"
    )
    completions: int = Field(gt=0, description="completions a step, all groups together")
    completions_per_pass: int = Field(gt=0, description="completions a forward and backward pass")
    length: int = Field(gt=0, description="most tokens of a completion")
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(
        default=1.0, gt=0, le=1, description="below 1 the policy that is trained is not the sampled one"
    )
    vllm: Literal["colocate", "none"] = Field(description="who samples: vLLM in this process, or transformers")
    share_engine: bool = Field(
        default=False, description="one vLLM engine for all units and evaluations of the run, its weights exchanged"
    )
    correction: Correction | None = Field(default=Correction(), description="with vLLM; None: none")
    warmup: int = Field(default=0, ge=0, description="steps")
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "constant_with_warmup"
    weight_decay: float = Field(default=0.0, ge=0)
    clip: float = Field(default=1.0, gt=0, description="largest norm of the gradient")
    disable_dropout: bool = Field(default=True, description="trl leaves it on; noise would blur every ratio")
    precision: Literal["bf16", "tf32", "fp32"] = Field(default="tf32", description="of matrix products")
    kl_rows: int = Field(
        default=32, ge=1, description="completions of each step on which the divergence is measured, in every arm"
    )
    keep_samples: int = Field(default=0, ge=0, description="completions kept in the record every watch.every steps")
    checkpoint_every: int = Field(default=50, gt=0, description="steps")
    adapter: Adapter | None = None

    @model_validator(mode="after")
    def _possible(self) -> "Training":
        if self.completions % self.completions_per_pass:
            raise ValueError("completions must be a multiple of completions_per_pass")
        if self.seconds is not None and self.schedule != "constant_with_warmup":
            raise ValueError("with seconds the last step is not known: schedule must be constant_with_warmup")
        if self.share_engine and self.vllm == "none":
            raise ValueError("share_engine needs vllm: colocate")
        return self


class GrpoRecipe(ArmsRecipe):
    """Choose prompts, train each arm with each seed, evaluate: one experiment."""

    kind: Literal["grpo"]
    prompts: Prompts
    rewards: dict[str, Weights] = Field(min_length=1)
    arms: dict[str, Objective] = Field(min_length=1)
    training: Training

    @property
    def trained_splits(self) -> tuple[str, ...]:
        """Splits of MBPP that prompts are taken from."""
        return self.prompts.splits

    @model_validator(mode="after")
    def _fits(self) -> "GrpoRecipe":
        for name, arm in self.arms.items():
            if arm.reward not in self.rewards:
                raise ValueError(f"arms.{name}.reward: {arm.reward!r} is none of {', '.join(self.rewards)}")
            if self.training.completions % arm.group:
                raise ValueError(f"arms.{name}.group: completions must be a multiple of it")
            if self.training.checkpoint_every % arm.iterations:
                raise ValueError(f"arms.{name}.iterations: checkpoint_every must be a multiple of it")
            if self.trainer == "unsloth" and arm.loss == "bnpo":
                raise ValueError(f"arms.{name}.loss: unsloth takes bnpo for dapo; say dapo, or trainer: trl")
        if self.training.share_engine and self.backend != "vllm":
            raise ValueError("training.share_engine: the backend of the evaluation must be vllm too")
        if self.trainer == "unsloth" and self.training.adapter is not None:
            raise ValueError("training.adapter: with unsloth it could not be continued exactly; expected trainer: trl")
        return self
