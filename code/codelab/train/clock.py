"""Where a step's seconds go: sampling, judging, the rest; and what training has cost so far.

Work that only observes (measuring the divergence, say) is taken out, so that arms are compared at the cost of what they
do. On a CUDA device the ends of a step wait for queued work. Not covered: phases of a run (``codelab.measure``).
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Part = Literal["sampling", "judging", "observing"]


class Clock:
    """Seconds of one unit's training.

    Args:
        spent: seconds of the steps before, in a continued run.

    Attributes:
        spent: seconds of all finished steps, observing left out.
        parts: seconds of the current step's named parts.
    """

    def __init__(self, spent: float = 0.0) -> None:
        self.spent = spent
        self.parts: dict[Part, float] = {}
        self._began: float | None = None

    def begin(self) -> None:
        """A step begins."""
        _wait()
        self.parts = {"sampling": 0.0, "judging": 0.0, "observing": 0.0}
        self._began = time.perf_counter()

    @contextmanager
    def part(self, name: Part) -> Iterator[None]:
        """The body belongs to a named part."""
        if name == "observing":
            _wait()  # else work queued before would be taken for observing
        began = time.perf_counter()
        try:
            yield
        finally:
            if name == "observing":
                _wait()
            self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - began

    def end(self) -> dict[str, float]:
        """A step ends: its seconds by part, as columns of ``steps.csv``.

        Raises:
            RuntimeError: no step was begun.
        """
        if self._began is None:
            raise RuntimeError("the step was not begun")
        _wait()
        whole = time.perf_counter() - self._began - self.parts["observing"]
        self._began = None
        self.spent += whole
        sampling, judging = self.parts["sampling"], self.parts["judging"]
        return {
            "seconds": round(self.spent, 3),
            "step_seconds": round(whole, 4),
            "sampling_seconds": round(sampling, 4),
            "judging_seconds": round(judging, 4),
            "training_seconds": round(max(0.0, whole - sampling - judging), 4),
        }


def _wait() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
