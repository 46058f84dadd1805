"""Worked example of chapter 4: how often a group of completions carries any signal.

A group whose completions all pass or all fail has zero advantage under GRPO and gives no on-policy pair to DPO. The
functions compute the expected share of the other groups for one success rate and for rates that differ by task (a beta
distribution). Not covered: graded rewards, which split groups that a pass-or-fail reward leaves equal.
"""

import math


def informative_share(rate: float, group: int) -> float:
    """Probability that ``group`` independent completions, each right with probability ``rate``, are not all alike."""
    return 1.0 - rate**group - (1.0 - rate) ** group


def informative_share_beta(mean: float, concentration: float, group: int) -> float:
    """The same, averaged over tasks whose success rates follow a beta distribution.

    Args:
        mean: mean success rate over tasks, 0..1.
        concentration: sum of the beta distribution's two parameters; small means that few tasks hold most successes.
        group: completions drawn for each task.
    """
    return 1.0 - _moment(mean, concentration, group) - _moment(1.0 - mean, concentration, group)


def completions_per_informative_group(share: float, group: int) -> float:
    """Completions to draw, on average, until one group carries signal."""
    return group / share if share > 0 else math.inf


def _moment(mean: float, concentration: float, order: int) -> float:
    """E[p**order] of a beta distribution, as a product of rising factors."""
    a = mean * concentration
    return math.prod((a + i) / (concentration + i) for i in range(order))
