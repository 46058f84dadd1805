"""From how many completions on a slow start with a high rate beats a quick start with a low one. Pure.

Seconds of a job are the start's plus those of its completions, which are measured at a few counts and taken as straight
lines between and beyond them. Not covered: memory, and a start that serves several jobs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Cost:
    """An engine's start and the seconds that so many completions took.

    Attributes:
        start: seconds until the first completion could begin.
        seconds: by number of completions; at least one.
        batch: completions that are generated at once where a part of a batch takes as long as a whole one; None where
            work grows with the count.
    """

    start: float
    seconds: Mapping[int, float]
    batch: int | None = None

    def of(self, count: int) -> float:
        """Seconds of the start and ``count`` completions.

        Raises:
            ValueError: nothing was measured, or a negative count.
        """
        if not self.seconds or count < 0:
            raise ValueError("expected at least one measured count, and no negative one")
        return self.start + self._generating(count)

    def _generating(self, count: int) -> float:
        if count == 0:
            return 0.0
        if self.batch is not None and count > self.batch:
            whole, rest = divmod(count, self.batch)
            return whole * self._generating(self.batch) + self._generating(rest)
        points = [(0, 0.0), *sorted(self.seconds.items())]
        if count <= points[1][0]:
            return points[1][1]  # fewer than the smallest count that was measured cannot be said to be quicker
        for (low, before), (high, after) in pairwise(points[1:]):
            if count <= high:
                return before + (after - before) * (count - low) / (high - low)
        (low, before), (high, after) = points[-2:]
        return after + max(0.0, (after - before) / (high - low)) * (count - high)


def break_even(quick: Cost, slow: Cost, most: int = 1_000_000) -> int | None:
    """The smallest count from which ``slow`` is done before ``quick`` at every larger one that was tried; None: never.

    Args:
        quick: the engine that starts quickly.
        slow: the one that starts slowly.
        most: counts beyond are not tried.
    """
    counts = _tried(quick, slow, most)
    ahead = [slow.of(count) <= quick.of(count) for count in counts]
    if not ahead[-1]:
        return None
    last_behind = max((i for i, wins in enumerate(ahead) if not wins), default=-1)
    if last_behind < 0:
        return counts[0]
    low, high = counts[last_behind], counts[last_behind + 1]
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if slow.of(middle) <= quick.of(middle) else (middle, high)
    return high


def _tried(quick: Cost, slow: Cost, most: int) -> Sequence[int]:
    """Counts at which the curves can cross: where lines meet, every whole batch, and a grid of 2 per cent steps."""
    counts = {1, most, *quick.seconds, *slow.seconds}
    count = 1.0
    while count < most:
        counts.add(int(count))
        count = max(count + 1, count * 1.02)
    for batch in filter(None, (quick.batch, slow.batch)):
        counts |= {n for whole in range(1, 65) for n in (whole * batch, whole * batch + 1)}
    return sorted(count for count in counts if 1 <= count <= most)
