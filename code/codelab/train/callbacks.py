"""What every trl trainer of this project shares: steps into the record, a pause in time, continuing, quiet logs.

Not covered: the methods themselves (one module each).
"""

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from codelab.records import Run

QUIET: dict[str, Any] = {
    "report_to": "none",
    "disable_tqdm": True,
    "save_strategy": "steps",
    "save_total_limit": 1,
    "logging_first_step": True,
    "logging_nan_inf_filter": False,
}
"""Trainer arguments that say: no dashboards, no bars, one checkpoint, every value as it is."""


class RecordSteps(TrainerCallback):
    """Writes each logged step into the run and stops in time, with a checkpoint, when the command's time is over.

    Args:
        run: the run in progress.
        arm: name of what is trained, where a run trains more than one thing.
        reserve: seconds that saving takes, at most.
    """

    def __init__(self, run: Run, arm: str | None = None, reserve: float = 20.0) -> None:
        self._run = run
        self._arm = arm
        self._reserve = reserve
        self.paused = False

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Keep one logged step."""
        if logs and "train_runtime" not in logs and state.is_world_process_zero:
            row: dict[str, Any] = {"arm": self._arm} if self._arm else {}
            row |= {"step": state.global_step} | {key: float(value) for key, value in logs.items()}
            self._run.step(**row)
            print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Ask for a checkpoint and the end when the time is up."""
        if self._run.time_is_up(self._reserve) and state.global_step < state.max_steps:
            self.paused = True
            control.should_save = True
            control.should_training_stop = True
        return control


def newest_checkpoint(folder: Path, run: Run, arm: str | None = None) -> str | None:
    """The checkpoint to continue from, if any; steps logged after it are dropped from the run."""
    found = _last_whole(folder)
    reached = int(Path(found).name.rpartition("-")[2]) if found else 0
    rows = run.steps_so_far()
    kept = [row for row in rows if row.get("arm") != arm or row["step"] <= reached]
    if len(kept) != len(rows):
        run.truncate("steps", 0)
        for row in kept:
            run.step(**row)
    return found


def _last_whole(folder: Path) -> str | None:
    """The newest checkpoint that a kill did not cut short; cut ones are removed.

    transformers writes a checkpoint in place, its state last.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        try:
            json.loads((path / TRAINER_STATE_NAME).read_bytes())
        except (OSError, json.JSONDecodeError):
            shutil.rmtree(path)
        else:
            return str(path)
    return None
