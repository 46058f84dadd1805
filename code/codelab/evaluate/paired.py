"""Comparing two runs on the same tasks: difference with its interval, and McNemar's exact test.

Tasks differ far more in difficulty than models differ in skill, so a difference is taken task by task. Not covered:
runs on different tasks, prompts or stop rules; :func:`match` refuses them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from codelab.errors import UserError
from codelab.evaluate.metrics import LEVEL, RESAMPLES, BootstrapMethod, Estimate, Floats, bootstrap


@dataclass(frozen=True)
class McNemar:
    """Tasks that only the first run solves, only the second solves, and the two-sided exact p value."""

    only_first: int
    only_second: int
    p_value: float


def match(first: Mapping[int, float], second: Mapping[int, float]) -> tuple[Floats, Floats]:
    """Scores of two runs in the same order of tasks.

    Raises:
        UserError: the runs do not cover the same tasks.
    """
    if first.keys() != second.keys():
        only_first, only_second = len(first.keys() - second.keys()), len(second.keys() - first.keys())
        raise UserError(
            f"the two runs cover different tasks ({only_first} only in the first, {only_second} only in the second); "
            "a paired comparison needs the same split and limit"
        )
    tasks = sorted(first)
    return (
        np.array([first[task] for task in tasks], dtype=np.float64),
        np.array([second[task] for task in tasks], dtype=np.float64),
    )


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    *,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    method: BootstrapMethod = "bca",
) -> Estimate:
    """Mean of ``second - first`` over tasks with a task-level bootstrap interval.

    Args:
        first: one score a task, shape (tasks,); the base.
        second: scores of the other run, same tasks in the same order.
        seed: of the resampling.
        level: coverage that is aimed at.
        resamples: how many.
        method: ``percentile`` or ``bca``.

    Raises:
        ValueError: the shapes differ.
    """
    left, right = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if left.shape != right.shape:
        raise ValueError(f"paired scores need one shape, got {left.shape} and {right.shape}")
    return bootstrap(right - left, seed=seed, level=level, resamples=resamples, method=method)


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """McNemar's exact test on solved-or-not outcomes of the same tasks.

    Under the null hypothesis each task that exactly one run solves is a fair coin; the p value doubles the smaller
    binomial tail, capped at 1. Source: McNemar 1947, doi:10.1007/BF02295996, in its exact binomial form.

    Raises:
        ValueError: the shapes differ.
    """
    left, right = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if left.shape != right.shape:
        raise ValueError(f"paired outcomes need one shape, got {left.shape} and {right.shape}")
    only_first, only_second = int(np.sum(left & ~right)), int(np.sum(right & ~left))
    discordant = only_first + only_second
    # Whole numbers throughout: exact for any number of tasks, and only the last division rounds.
    tail = sum(math.comb(discordant, i) for i in range(min(only_first, only_second) + 1))
    return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**discordant))
