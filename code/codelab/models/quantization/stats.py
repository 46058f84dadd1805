"""Intervals for the comparison of two models on the same documents. Numpy only.

Not covered: intervals for pass rates and tests of hypotheses (``codelab.evaluate``).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95


def bootstrap_ratio(
    sums: Sequence[float], counts: Sequence[int], seed: int, resamples: int = 4000
) -> tuple[float, float, float]:
    """Mean per token and its percentile interval, documents drawn with replacement.

    Args:
        sums: total over a document's tokens.
        counts: tokens of that document.
        seed: of the resampling.
        resamples: number of draws.

    Returns:
        Mean, and the 2.5 and 97.5 per cent points.

    Raises:
        ValueError: no documents or no tokens.
    """
    total, weight = np.asarray(sums, float), np.asarray(counts, float)
    if not len(total) or len(total) != len(weight) or weight.sum() <= 0:
        raise ValueError(f"{len(total)} sums for {len(weight)} counts: expected at least one document with tokens")
    drawn = np.random.default_rng(seed).integers(0, len(total), (resamples, len(total)))
    ratios: NDArray[np.float64] = total[drawn].sum(1) / weight[drawn].sum(1)
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(total.sum() / weight.sum()), float(low), float(high)


def wilson(successes: int, n: int) -> tuple[float, float, float]:
    """Share and its 95 per cent score interval (Wilson 1927).

    Raises:
        ValueError: ``n`` below 1 or successes outside 0 to n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n}: expected n >= 1 and 0 <= successes <= n")
    z, share = 1.959963984540054, successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return share, max(0.0, centre - half), min(1.0, centre + half)
