"""One row of ``steps.csv`` for each step of GRPO, and the end of training in time or on budget.

The row joins what the reward saw, what trl logged (under names of ours, so that a later trl cannot rename the record's
columns) and where the seconds went. Not covered: looks at the policy (``codelab.train.watch``).
"""

from typing import Any

from transformers import TrainerControl, TrainerState, TrainingArguments

from codelab.records import Run
from codelab.train.callbacks import RecordSteps
from codelab.train.clock import Clock
from codelab.train.grpo_judge import Rewarder
from codelab.train.shelf import Shelf

COLUMNS = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "rate",
    "entropy": "entropy",
    "completions/mean_length": "length",
    "completions/clipped_ratio": "truncated",
    "clip_ratio/region_mean": "ratio_clipped",
    "kl": "kl_loss",
    "sampling/sampling_logp_difference/mean": "engine_difference",
    "sampling/importance_sampling_ratio/mean": "engine_ratio",
    "sampling/importance_sampling_ratio/min": "engine_ratio_least",
}
"""trl's names and ours. ``entropy``: nats a token; ``truncated``: share of completions cut by the length limit;
``ratio_clipped``: share of tokens whose ratio was clipped; ``kl_loss``: k3 a token as the loss has it, where β > 0;
``engine_…``: how vLLM's probabilities differ from the trainer's."""


class RecordGrpo(RecordSteps):
    """Writes the rows; ends training when its seconds are spent, or pauses when the command's are.

    Args:
        run: the run in progress.
        arm: name of the unit.
        clock: of the unit.
        rewarder: of the unit.
        seconds: of training, where the recipe gives a budget.
        every: optimizer steps a batch of completions: between them a checkpoint could not be continued exactly.
        kept: where some completions of some steps are kept, if anywhere.
        keep: how many of a step.
        keep_every: steps between two that are kept; the first is.
    """

    def __init__(
        self,
        run: Run,
        arm: str,
        clock: Clock,
        rewarder: Rewarder,
        *,
        seconds: float | None,
        every: int = 1,
        kept: Shelf | None = None,
        keep: int = 0,
        keep_every: int = 1,
    ) -> None:
        super().__init__(run, arm=arm)
        self._clock, self._rewarder, self._seconds, self._every = clock, rewarder, seconds, every
        self._kept, self._keep, self._keep_every = kept, keep, keep_every
        self._row: dict[str, float] = {}

    @property
    def over(self) -> bool:
        """Whether the budget of seconds is spent."""
        return self._seconds is not None and self._clock.spent >= self._seconds

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """The clock runs."""
        self._clock.begin()
        return control

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl:
        """The clock stops; the end, or a pause, where it is due."""
        self._row = self._clock.end()
        if self.over:
            control.should_training_stop = True
        elif state.global_step % self._every == 0:
            control = super().on_step_end(args, state, control, **more)
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Keep one step."""
        if not logs or "train_runtime" in logs or not state.is_world_process_zero:
            return
        known = {ours: float(logs[theirs]) for theirs, ours in COLUMNS.items() if logs.get(theirs) is not None}
        row = known | self._rewarder.columns | self._row
        self._run.step(arm=str(self._arm), step=state.global_step, **row)
        shown = ("reward", "rung_passes", "flat_groups", "kl_token", "entropy", "length", "truncated", "step_seconds")
        print(
            f"{self._arm} step={state.global_step} "
            + " ".join(f"{name}={row[name]:.4g}" for name in (*shown, "judging_seconds", "seconds") if name in row),
            flush=True,
        )
        if self._kept and self._keep and (state.global_step == 1 or state.global_step % self._keep_every == 0):
            batch = self._rewarder.last
            for one in batch[:: max(1, len(batch) // self._keep)][: self._keep]:
                self._kept.sample(step=state.global_step, **one.row())
