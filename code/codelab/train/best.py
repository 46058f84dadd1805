"""Early stopping that can be evaluated: the weights of the look with the highest pass@1, kept while training goes on.

A look that beats all before it leaves bare weights in the unit's folder. An older file stays until a checkpoint is as
new as what replaced it, so that a run continued from a checkpoint finds the best look up to there. The start is no
candidate: to stop before the first step is not to train. Not covered: adapters, whose weights would have to be merged.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codelab.records.files import write_atomic
from codelab.train.save import write_weights


@dataclass(frozen=True)
class Kept:
    """A look whose weights were kept, with its pass@1."""

    step: int
    score: float


class BestLook:
    """Keeps the weights of the best look of one unit.

    Args:
        folder: where; made when first needed.
        checkpoints: the trainer's folder of the same unit.
    """

    def __init__(self, folder: Path, checkpoints: Path) -> None:
        self._folder, self._checkpoints = folder, checkpoints

    def begin(self, step: int) -> None:
        """Forget the looks after the step that training continues from: they are going to be taken again."""
        for kept in self._all():
            if kept.step > step:
                self._drop(kept)

    def lost(self, step: int, every: int) -> bool:
        """Whether a run continued at ``step`` has had a look, and its weights are gone."""
        return step >= every and not any(kept.step <= step for kept in self._all())

    def offer(self, step: int, model: Any, score: float) -> None:
        """Keep the weights if no look before was as good; of equals the earliest stays.

        Raises:
            UserError: the disk refuses.
        """
        before = self._all()
        if step == 0 or (before and score <= before[-1].score):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = Kept(step, score)
        write_weights(model, self._weights(kept))
        write_atomic(self._facts(kept), json.dumps(asdict(kept)).encode())
        saved = [int(path.name.rpartition("-")[2]) for path in self._checkpoints.glob("checkpoint-*")]
        needed = max((one.step for one in before if one.step <= min(saved, default=0)), default=0)
        for one in before:
            if one.step < needed:
                self._drop(one)

    def best(self) -> tuple[Kept, Path]:
        """The best look and its weights.

        Raises:
            RuntimeError: there was no look after the start.
        """
        if not (found := self._all()):
            raise RuntimeError(f"{self._folder}: no look was kept")
        return found[-1], self._weights(found[-1])

    def _all(self) -> list[Kept]:
        """By step and so, each being better than the one before, by score."""
        return sorted((Kept(**json.loads(path.read_bytes())) for path in self._folder.glob("*.json")), key=_step)

    def _weights(self, kept: Kept) -> Path:
        return self._folder / f"step-{kept.step}.safetensors"

    def _facts(self, kept: Kept) -> Path:
        return self._folder / f"step-{kept.step}.json"

    def _drop(self, kept: Kept) -> None:
        self._facts(kept).unlink()  # first: weights without facts are nothing, facts without weights would mislead
        self._weights(kept).unlink(missing_ok=True)


def _step(kept: Kept) -> int:
    return kept.step
