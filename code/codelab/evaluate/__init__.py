"""Verdicts into numbers: pass@k with intervals, paired comparisons, and the experiment that evaluates one model."""

from codelab.evaluate.metrics import Estimate, across_seeds, bootstrap, failure_table, pass_at_k, wilson
from codelab.evaluate.paired import McNemar, match, mcnemar, paired_difference

__all__ = [
    "Estimate",
    "McNemar",
    "across_seeds",
    "bootstrap",
    "failure_table",
    "match",
    "mcnemar",
    "paired_difference",
    "pass_at_k",
    "wilson",
]
