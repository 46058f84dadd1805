"""Rewards from the sandbox's verdicts: a ladder of rungs, each worth a share of the reward that the recipe states.

A program climbs: it parses (and says something), it defines what the tests call, it runs (the first test that fails
fails by a wrong answer), it passes a share of the tests, it passes them all. Weights of 0 on all but the last give the
pass-only reward. A sandbox fault says nothing about the program: :func:`reward` gives None, which trl leaves out of the
group's mean and spread and turns into an advantage of 0; the rest of the group counts on. Pure: no torch, no processes.
Not covered: running programs (``codelab.sandbox``) and answers written for the tests (``codelab.train.hardcoding``).
"""

import ast
import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from codelab.records import Strict
from codelab.sandbox import Verdict
from codelab.tasks.mbpp import Task, defined_names

Rung = Literal["fault", "nothing", "syntax", "parses", "defines", "runs", "some", "passes"]
RUNGS: tuple[Rung, ...] = ("fault", "nothing", "syntax", "parses", "defines", "runs", "some", "passes")
"""How far a program came: ``nothing``: empty or only comments; ``some``: some tests passed, not all."""


class Weights(Strict):
    """What each rung adds to the reward; together 1."""

    parses: float = Field(default=0.0, ge=0, description="compiles, and holds at least one statement")
    defines: float = Field(default=0.0, ge=0, description="defines every name that the tests take from it")
    runs: float = Field(default=0.0, ge=0, description="a test passes, or the first one fails by a wrong answer")
    tests: float = Field(default=0.0, ge=0, description="times the share of the tests that hold")
    passes: float = Field(ge=0, description="all tests hold")

    @model_validator(mode="after")
    def _whole(self) -> "Weights":
        if not math.isclose(self.parses + self.defines + self.runs + self.tests + self.passes, 1.0):
            raise ValueError("the weights must add up to 1")
        return self


def rung(program: str, task: Task, failure: str, tests_passed: int, passed: bool) -> Rung:
    """How far a program came.

    Args:
        program: what was judged.
        task: the question; names what must be defined.
        failure: class of the verdict.
        tests_passed: tests that held.
        passed: whether all did.
    """
    if failure == "sandbox_error":
        return "fault"
    if passed:
        return "passes"
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "syntax"
    if failure == "syntax":  # parses and does not compile: a return outside a function, say
        return "syntax"
    if all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in tree.body):
        return "nothing"  # a docstring, or nothing at all
    if not task.needed_names <= defined_names(tree):
        return "parses"
    if tests_passed:
        return "some"
    return "runs" if failure == "wrong_value" else "defines"


def rung_of(program: str, task: Task, verdict: Verdict) -> Rung:
    """The rung of a verdict."""
    return rung(program, task, verdict.failure, verdict.tests_passed, verdict.passed)


def reward(weights: Weights, reached: Rung, tests_passed: int, tests_total: int) -> float | None:
    """The reward of a rung, between 0 and 1; None for a sandbox fault.

    Args:
        weights: of the recipe.
        reached: how far the program came.
        tests_passed: tests that held.
        tests_total: tests judged.
    """
    if reached == "fault":
        return None
    height = RUNGS.index(reached)
    steps: dict[Rung, float] = {"parses": weights.parses, "defines": weights.defines, "runs": weights.runs}
    total = sum(weight for name, weight in steps.items() if height >= RUNGS.index(name))
    if height >= RUNGS.index("some"):
        total += weights.tests * tests_passed / max(1, tests_total)
    return total + (weights.passes if reached == "passes" else 0.0)


def shares(reached: Sequence[Rung]) -> dict[str, float]:
    """Share of completions at each rung, as columns ``rung_<name>``; the faults are counted in the whole."""
    return {f"rung_{name}": reached.count(name) / max(1, len(reached)) for name in RUNGS}


def flat_groups(rewards: Sequence[float | None], size: int) -> tuple[float, float]:
    """Share of groups whose rewards do not vary, and the mean spread within the groups (standard deviation, n - 1).

    A group with fewer than two rewards (the others were faults) counts as flat: nothing can be learnt from it.

    Args:
        rewards: one a completion, the groups one after another.
        size: completions a group.
    """
    spreads = []
    for start in range(0, len(rewards), size):
        known = [value for value in rewards[start : start + size] if value is not None]
        mean = sum(known) / max(1, len(known))
        spreads.append(math.sqrt(sum((value - mean) ** 2 for value in known) / max(1, len(known) - 1)))
    count = max(1, len(spreads))
    return sum(spread < 1e-8 for spread in spreads) / count, sum(spreads) / count
