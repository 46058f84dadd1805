"""What metering costs: the same work bare and inside a phase, in turns.

Run: ``python code/bench/metering.py`` (about 30 s). Two numbers: the processor time that the meter itself took, as a
share of the metered time, which decides (status 1 from one per cent); and the paired difference of wall times, which
includes what the sampler costs others by holding the interpreter's lock, and which a shared machine moves by more than
either. On such a machine read it with its interval.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from codelab.measure import Meter

LIMIT = 0.01
PAIRS = 15
ROUNDS = 60


def work() -> None:
    """Array arithmetic and a Python loop, which competes with the sampler for the interpreter's lock."""
    matrix = np.full((256, 256), 0.5)
    for _ in range(ROUNDS):
        matrix = np.tanh(matrix @ matrix)
        sum(i * i for i in range(60_000))


def once(meter: Meter | None) -> float:
    """Wall seconds of one round of work."""
    began = time.perf_counter()
    if meter is None:
        work()
    else:
        with meter.phase("work"):
            work()
    return time.perf_counter() - began


def main() -> int:
    """Measure with no child processes and with eight, and print both."""
    worst = 0.0
    for children in (0, 8):
        sleepers = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(children)]
        try:
            meter = Meter()
            once(None)
            pairs = [(once(None), once(meter)) for _ in range(PAIRS)]
        finally:
            for sleeper in sleepers:
                sleeper.kill()
                sleeper.wait()
        own = meter.spent / sum(phase.seconds for phase in meter.phases)
        worst = max(worst, own)
        wall = np.array([metered / bare - 1 for bare, metered in pairs])
        drawn = np.median(np.random.default_rng(0).choice(wall, (2000, PAIRS)), axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        print(
            f"metering, {children} children: {own:.2%} of the metered time is the meter's own; wall time "
            f"{np.median(wall):+.1%} (95 % interval {low:+.1%} to {high:+.1%}, {PAIRS} pairs of "
            f"{np.median([bare for bare, _ in pairs]):.2f} s)"
        )
    if worst >= LIMIT:
        print(f"metering costs {worst:.2%}, expected under {LIMIT:.0%}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
