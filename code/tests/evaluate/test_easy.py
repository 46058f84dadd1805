"""Which reference solutions are one call or one operator."""

import pytest

from codelab.evaluate.easy import is_one_liner
from codelab.tasks.mbpp import Task


@pytest.mark.parametrize(
    ("body", "simple"),
    [
        ("return a + b", True),
        ("return max(a, b)", True),
        ("x = sorted(a)\n    return x", True),
        ("import math\n    return math.gcd(a, b)", True),
        ("return a.replace(' ', b)", True),
        ("return (a[-1:] + a[:-1])", True),
        ("'''Adds.'''\n    return not a", True),
        ("return a", True),
        ("return a + b + 1", False),
        ("return max(a) - min(a)", False),
        ("return [x for x in a]", False),
        ("import re\n    return re.findall('[a-z]+', a)", False),
        ("for x in a:\n        b += x\n    return b", False),
        ("x = a\n    return b", False),
        ("return list(map(lambda x: x + 1, a))", False),
        ("print(a)", False),
    ],
)
def test_one_call_or_operator(body, simple):
    assert is_one_liner(Task(1, "?", f"def f(a, b=0):\n    {body}", tests=("assert f(1) == 1",))) is simple


def test_the_function_that_the_tests_call_decides():
    code = "def helper(a):\n    return a + 1\ndef f(a):\n    return [helper(x) for x in a]"
    assert not is_one_liner(Task(1, "?", code, tests=("assert f([1]) == [2]",)))
    assert is_one_liner(Task(1, "?", code, tests=("assert helper(1) == 2",)))
