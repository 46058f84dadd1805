"""What groups of completions would teach GRPO, computed from completions that are judged already.

A task's completions are counted by reward. A group drawn from them without replacement is flat (its rewards are equal:
no advantage, no gradient), or it varies, by what its best completion reached: form alone, a share of the tests, or a
pass beside a failure. The chances of the four are exact, and so is the part of the variance that each kind of contrast
makes up. Pure: no torch, no processes. Not covered: rewards (``codelab.train.rewards``), reading records
(``codelab.train.signal``), and how the policy answers once it has moved.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from codelab.train.rewards import Rung

Contrast = Literal["form", "tests", "solving"]
Outcome = Literal["flat", "form", "tests", "solving"]
CONTRASTS: tuple[Contrast, ...] = ("form", "tests", "solving")
"""What tells two completions with different rewards apart: the better one passes no test, some tests, or all."""
OUTCOMES: tuple[Outcome, ...] = ("flat", *CONTRASTS)
"""What a group is: flat, or told apart by form alone, by tests without a pass, or by a pass beside a failure."""
_EPSILON = 1e-4
"""What trl 1.14.2 adds to a group's standard deviation before it divides by it."""


@dataclass(frozen=True)
class Level:
    """Completions of a task with one reward and one height: 0 no test passed, 1 some, 2 all."""

    reward: float
    height: int
    count: int


Levels = tuple[Level, ...]


def levels(completions: Iterable[tuple[float | None, Rung]]) -> Levels:
    """A task's completions counted by reward and height, lowest first; sandbox faults (None) are left out.

    Args:
        completions: reward and rung of each.
    """
    heights: dict[Rung, int] = {"some": 1, "passes": 2}
    counts = Counter((round(value, 9), heights.get(rung, 0)) for value, rung in completions if value is not None)
    return tuple(Level(reward, height, count) for (reward, height), count in sorted(counts.items()))


def chances(task: Levels, group: int) -> dict[Outcome, float]:
    """What a group of ``group`` completions, drawn without replacement, is: hypergeometric, without sampling.

    All of a group lie among ``k`` of the ``n`` completions with probability C(k, G) / C(n, G); every outcome is a sum
    and difference of such events.

    Raises:
        ValueError: the task has fewer completions than the group.
    """
    total = _size(task, range(len(task)))
    if not 1 <= group <= total:
        raise ValueError(f"a group of {group} cannot be drawn from {total} completions")
    whole = math.comb(total, group)
    return {
        outcome: sum(sign * math.comb(_size(task, within), group) for within, sign in events) / whole
        for outcome, events in _events(task).items()
    }


def joint_chances(task: Levels, first: int, group: int) -> dict[tuple[Outcome, Outcome], float]:
    """What ``first`` completions are, and what a group drawn from the others is: the chances of both together.

    A filter and a later group then share no completion, so that luck in choosing a task is not counted as its merit.

    Raises:
        ValueError: the task has fewer completions than both need.
    """
    total = _size(task, range(len(task)))
    if first < 1 or group < 1 or first + group > total:
        raise ValueError(f"{first} and {group} completions cannot be drawn from {total}")
    whole = math.comb(total, first) * math.comb(total - first, group)
    events = _events(task)
    return {
        (one, other): sum(
            left_sign * right_sign * _ways(task, left, right, first, group)
            for left, left_sign in events[one]
            for right, right_sign in events[other]
        )
        / whole
        for one in OUTCOMES
        for other in OUTCOMES
    }


def _events(task: Levels) -> dict[Outcome, list[tuple[frozenset[int], int]]]:
    """Each outcome as signed events "all lie among these levels"; the sets are nested or apart."""
    below = [frozenset(i for i, level in enumerate(task) if level.height < height) for height in range(4)]

    def equal(within: frozenset[int], sign: int) -> list[tuple[frozenset[int], int]]:
        values = {task[i].reward for i in within}
        return [(frozenset(i for i in within if task[i].reward == value), sign) for value in sorted(values)]

    form = [(below[1], 1), *equal(below[1], -1)]
    failing = [(below[2], 1), *equal(below[2], -1)]  # vary without a pass
    flat = equal(below[3], 1)
    return {
        "flat": flat,
        "form": form,
        "tests": failing + [(within, -sign) for within, sign in form],
        "solving": [(below[3], 1)] + [(within, -sign) for within, sign in flat + failing],
    }


def _size(task: Levels, within: Iterable[int]) -> int:
    return sum(task[i].count for i in within)


def _ways(task: Levels, left: frozenset[int], right: frozenset[int], first: int, group: int) -> int:
    """Ways to draw ``first`` completions among ``left`` and then ``group`` others among ``right``."""
    if left <= right:
        return math.comb(_size(task, left), first) * math.comb(max(0, _size(task, right) - first), group)
    if right <= left:
        return math.comb(_size(task, right), group) * math.comb(max(0, _size(task, left) - group), first)
    return math.comb(_size(task, left), first) * math.comb(_size(task, right), group)


def variance_parts(task: Levels) -> dict[Contrast, float]:
    """The variance of a task's rewards (n - 1), split by what tells the two completions of each pair apart.

    A variance is the mean over all pairs of half the squared difference, and each pair shows one contrast. Groups of
    any size drawn from the task have this variance and these parts on average.

    Raises:
        ValueError: fewer than two completions.
    """
    total = sum(level.count for level in task)
    if total < 2:
        raise ValueError("a variance needs two completions")
    counts = np.array([[level.count for level in task]], dtype=np.float64)
    return {name: float(value[0]) for name, value in _parts(task, counts).items()}


def advantage_parts(task: Levels, group: int, draws: int, generator: np.random.Generator) -> dict[Contrast, float]:
    """Mean square of a completion's advantage, (reward - mean) / (deviation + 1e-4), split as the variance is.

    Each group is divided by its own spread (DeepSeekMath, arXiv:2402.03300, equation 3; the small number is trl's), so
    groups that vary count alike, however little; a flat one counts nothing. Estimated from drawn groups.

    Args:
        task: its levels.
        group: completions a group, at least 2.
        draws: groups drawn.
        generator: of the draws.
    """
    sizes = [level.count for level in task]
    counts = generator.multivariate_hypergeometric(sizes, group, size=draws).astype(np.float64)
    parts = _parts(task, counts)
    deviation = np.sqrt(sum(parts.values(), np.zeros(draws)))
    # A sum of squares over G is the variance times (G - 1) / G.
    scale = (group - 1) / group / (deviation + _EPSILON) ** 2
    return {name: float((value * scale).mean()) for name, value in parts.items()}


def _parts(task: Levels, counts: NDArray[np.float64]) -> dict[Contrast, NDArray[np.float64]]:
    """Parts of the variance for groups given as counts a level, shape (groups, levels)."""
    rewards = np.array([level.reward for level in task])
    heights = np.array([level.height for level in task])
    higher = np.maximum(heights[:, None], heights[None, :])
    half_squares = (rewards[:, None] - rewards[None, :]) ** 2 / 2
    size = counts.sum(axis=1)
    return {
        name: np.einsum("gi,ij,gj->g", counts, np.where(higher == height, half_squares, 0.0), counts)
        / (size * (size - 1))
        for height, name in enumerate(CONTRASTS)
    }
