"""Scores and their intervals: pass@k, Wilson, task-level bootstrap, aggregation over seeds.

Everything works on plain counts: ``c`` of ``n`` completions of a task passed. The unit that is resampled is the task,
because completions of one task are not independent of each other. Not covered: comparing two runs
(``codelab.evaluate.paired``) and deciding whether a completion passed (``codelab.sandbox``).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
BootstrapMethod = Literal["percentile", "bca"]

LEVEL = 0.95
RESAMPLES = 10_000
_BLOCK = 4_000_000  # resampled values held at once: 32 MB of float64


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; ``n`` counts what was resampled or observed (tasks, for the bootstrap)."""

    value: float
    low: float
    high: float
    level: float
    n: int
    method: str

    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero: the project's condition for writing "better"."""
        return self.low > 0 or self.high < 0


def pass_at_k(n: ArrayLike, c: ArrayLike, k: int) -> Floats:
    """Unbiased chance that at least one of ``k`` completions passes, a task at a time.

    That is one minus the share of the ``k``-subsets of ``n`` completions that hold no passing one. It is the
    estimator of Chen et al. 2021 (arXiv:2107.03374), computed as a product of ratios below one, so that no binomial
    coefficient is ever formed.

    Args:
        n: completions a task, shape (tasks,) or a scalar; at least ``k``.
        c: passing completions a task, shape (tasks,), between 0 and ``n``.
        k: size of the subsets, at least 1.

    Returns:
        Shape (tasks,), values between 0 and 1.

    Raises:
        ValueError: a count is out of range.
    """
    passed = np.atleast_1d(np.asarray(c, dtype=np.int64))
    total = np.broadcast_to(np.asarray(n, dtype=np.int64), passed.shape)
    if k < 1 or np.any(total < k):
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} completions a task")
    if np.any(passed < 0) or np.any(passed > total):
        raise ValueError("passing completions must lie between 0 and the number of completions")
    drawn = np.arange(k)
    # Draw without replacement: the i-th draw misses with (n - c - i) / (n - i); below zero means it cannot miss.
    misses = np.maximum(total[:, None] - passed[:, None] - drawn, 0) / (total[:, None] - drawn)
    return np.asarray(1.0 - misses.prod(axis=1), dtype=np.float64)


def wilson(passed: int, n: int, level: float = LEVEL) -> Estimate:
    """Wilson's score interval for a share of independent yes-or-no outcomes (greedy pass@1, one completion a task).

    Unlike the normal interval it is not empty at 0 or ``n`` passed. Source: Wilson 1927, doi:10.2307/2276774.

    Raises:
        ValueError: ``n`` is not positive or ``passed`` is out of range.
    """
    if n < 1 or not 0 <= passed <= n:
        raise ValueError(f"a share needs 0 <= passed <= n and n >= 1, got {passed} of {n}")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = passed / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if passed == 0 else max(0.0, centre - half)
    high = 1.0 if passed == n else min(1.0, centre + half)
    return Estimate(share, low, high, level, n, "Wilson")


def bootstrap(
    values: ArrayLike,
    *,
    seed: int = 0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    method: BootstrapMethod = "bca",
) -> Estimate:
    """Interval of a mean over tasks, by resampling tasks.

    ``bca`` corrects the percentiles for bias and skewness (Efron 1987, doi:10.1080/01621459.1987.10478410); where all
    values are the same there is nothing to resample and the interval is that value, so a score of 0 needs a Wilson
    interval of the solved tasks beside it.

    Args:
        values: one score a task, shape (tasks,).
        seed: of the resampling.
        level: coverage that is aimed at.
        resamples: how many.
        method: ``percentile`` or ``bca``.

    Raises:
        ValueError: no task, or a value that is not finite.
    """
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or scores.size == 0 or not np.all(np.isfinite(scores)):
        raise ValueError("the bootstrap needs one finite score a task and at least one task")
    mean = float(scores.mean())
    means = _resampled_means(scores, resamples, np.random.default_rng(seed))
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca":
        tails = _bca_tails(scores, means, mean, tails)
    low, high = np.quantile(means, tails)
    return Estimate(mean, float(low), float(high), level, scores.size, f"task bootstrap ({method}, {resamples})")


def bootstrap_ratio(
    parts: ArrayLike, wholes: ArrayLike, *, seed: int = 0, level: float = LEVEL, resamples: int = RESAMPLES
) -> Estimate:
    """Interval of a sum over tasks divided by another one, by resampling tasks; percentiles.

    Args:
        parts: numerators, one a task, shape (tasks,).
        wholes: denominators, not negative, shape (tasks,).
        seed: of the resampling.
        level: coverage that is aimed at.
        resamples: how many; one whose denominators are all 0 is left out.

    Raises:
        ValueError: no task, or denominators that add up to nothing.
    """
    over, under = np.asarray(parts, dtype=np.float64), np.asarray(wholes, dtype=np.float64)
    if over.ndim != 1 or over.shape != under.shape or not under.sum() > 0:
        raise ValueError("a ratio needs two numbers a task, and denominators above 0")
    # The same seed draws the same tasks for both.
    above = _resampled_means(over, resamples, np.random.default_rng(seed))
    below = _resampled_means(under, resamples, np.random.default_rng(seed))
    ratios = above[below > 0] / below[below > 0]
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    method = f"task bootstrap of a ratio (percentile, {resamples})"
    return Estimate(float(over.sum() / under.sum()), float(low), float(high), level, over.size, method)


def _resampled_means(scores: Floats, resamples: int, generator: np.random.Generator) -> Floats:
    """Means of samples drawn with replacement, shape (resamples,); drawn in blocks so that memory stays bounded."""
    block = max(1, _BLOCK // scores.size)
    parts = []
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        parts.append(scores[generator.integers(0, scores.size, size=(rows, scores.size))].mean(axis=1))
    return np.concatenate(parts)


def _bca_tails(scores: Floats, means: Floats, mean: float, tails: Floats) -> Floats:
    normal = NormalDist()
    size = scores.size
    # Scores that are the same but for rounding leave nothing to correct by, and the correction would divide by zero.
    if size < 2 or np.ptp(scores) <= 1e-12 * np.abs(scores).max():
        return tails
    # Ties count half: with few passing tasks many resampled means equal the mean exactly.
    equal = np.isclose(means, mean, rtol=0, atol=1e-12)
    below = float(np.mean((means < mean) & ~equal) + np.mean(equal) / 2)
    edge = 0.5 / means.size
    bias = normal.inv_cdf(min(max(below, edge), 1 - edge))
    jackknife = (scores.sum() - scores) / (size - 1)
    spread = jackknife.mean() - jackknife
    acceleration = float((spread**3).sum() / (6 * (spread**2).sum() ** 1.5))
    shifted = [bias + normal.inv_cdf(float(tail)) for tail in tails]
    return np.array([normal.cdf(bias + z / max(1 - acceleration * z, 1e-9)) for z in shifted])


def across_seeds(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Mean over training or sampling seeds with Student's t interval.

    This is the spread between repeats of the whole experiment, not the uncertainty from having few tasks.

    Raises:
        ValueError: fewer than two seeds, from which no spread can be had.
    """
    if len(values) < 2:
        raise ValueError("an interval across seeds needs at least two seeds")
    scores = np.asarray(values, dtype=np.float64)
    half = student_t_quantile((1 + level) / 2, len(values) - 1) * float(scores.std(ddof=1)) / math.sqrt(len(values))
    mean = float(scores.mean())
    return Estimate(mean, mean - half, mean + half, level, len(values), "Student's t over seeds")


def student_t_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's t for a whole number of degrees of freedom, by bisection on the exact distribution.

    Raises:
        ValueError: ``share`` is not inside (0, 1) or ``freedom`` is below 1.
    """
    if not 0 < share < 1 or freedom < 1:
        raise ValueError("a quantile needs 0 < share < 1 and at least one degree of freedom")
    if share < 0.5:
        return -student_t_quantile(1 - share, freedom)
    # In the angle theta = atan(t / sqrt(freedom)) the distribution has a finite sum for whole degrees of freedom.
    low, high = 0.0, math.pi / 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_t_mass(middle, freedom) < 2 * share - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _student_t_mass(theta: float, freedom: int) -> float:
    """Chance that ``abs(t)`` is below ``sqrt(freedom) * tan(theta)``: the integral of cos^(freedom-1), normalised."""
    odd = freedom % 2 == 1
    term = math.cos(theta) if odd else 1.0
    total = 0.0
    for step in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= math.cos(theta) ** 2 * (step + 1) / (step + 2)
    inner = math.sin(theta) * total
    return 2 / math.pi * (theta + inner) if odd else inner


def failure_table(samples: Iterable[Mapping[str, Any]], by: Callable[[Mapping[str, Any]], str]) -> list[dict[str, Any]]:
    """How completions failed, a row a group and class: counts and shares of all completions of the group.

    Args:
        samples: mappings with a ``failure`` key; passing ones carry ``none``.
        by: names the group of a sample, its sampling setting for example.
    """
    counts: Counter[tuple[str, str]] = Counter((by(sample), str(sample["failure"])) for sample in samples)
    totals: Counter[str] = Counter()
    for (group, _), count in counts.items():
        totals[group] += count
    return [
        {"group": group, "failure": failure, "count": count, "share": count / totals[group]}
        for (group, failure), count in sorted(counts.items(), key=lambda item: (item[0][0], -item[1], item[0][1]))
    ]
