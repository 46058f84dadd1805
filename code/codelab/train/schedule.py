"""Learning-rate factor over a run: linear warm-up, a flat part, linear decay to a final share.

The trapezoid (also "warm-up, stable, decay") can be driven by tokens or by seconds of training, since it only sees
the share that is done. Not covered: cosine schedules, which need the end to be known when the run begins.
"""

from typing import Literal

from pydantic import Field

from codelab.records import Strict


class Schedule(Strict):
    """How long to train, and the shape of the learning rate over it."""

    unit: Literal["tokens", "seconds"] = "tokens"
    total: float = Field(gt=0, description="tokens, or seconds of training without compilation and evaluation")
    warmup: float = Field(default=0.02, ge=0, lt=1, description="share of the run")
    decay: float = Field(default=0.4, ge=0, le=1, description="share of the run, at its end")
    final: float = Field(default=0.0, ge=0, le=1, description="factor at the end")

    def factor(self, done: float) -> float:
        """Factor on the peak learning rate once a share ``done`` of the run is behind."""
        done = min(max(done, 0.0), 1.0)
        up = done / self.warmup if done < self.warmup else 1.0
        left = 1.0 - done
        down = self.final + (1.0 - self.final) * left / self.decay if left < self.decay else 1.0
        return min(up, down)
