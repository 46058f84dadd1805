import pytest

from codelab.tasks.corpus.instructions import examples, extract, paragraph

TEXT = '''"""A module."""
import math
import os.path as p
from collections import Counter as C, deque
import numpy as np

LIMIT = 3


def area(radius: float) -> float:
    """Give the area of a circle of this radius.

    The rest is not asked for.
    >>> area(1)
    3.14
    """
    return math.pi * radius**2


def tops(words):
    """Count words and give the most frequent one."""
    counts = C(words)

    def key(word):
        return counts[word], p.basename(word)

    return max(words, key=key)


def fact(n):
    """Give the factorial of a number by recursion."""
    return 1 if n < 2 else n * fact(n - 1)


def limited(n):
    """Cut a number off at the limit of the module."""
    return min(n, LIMIT)


def array(n):
    """Make an array of so many zeros."""
    return np.zeros(n)


def printed(n):
    """Print a number and give nothing back at all."""
    print(n)


def _hidden(n):
    """Give back the number that was given."""
    return n


def bare(n):
    return n


@property
def decorated(n):
    """Give back the number that was given."""
    return n


class K:
    def method(self):
        """Give back the thing that was given."""
        return self
'''


def test_finds_the_functions_that_stand_alone() -> None:
    found = extract(TEXT)
    assert [pair.name for pair in found.pairs] == ["area", "tops", "fact", "limited", "_hidden"]
    assert found.dependent == 1
    area, tops, _, limited, _ = found.pairs
    assert limited.code == "LIMIT = 3\n\n\ndef limited(n):\n    return min(n, LIMIT)\n"
    assert area.instruction == "Give the area of a circle of this radius."
    assert area.code == "import math\n\n\ndef area(radius: float) -> float:\n    return math.pi * radius**2\n"
    assert area.examples == ("assert area(1) == 3.14",)
    assert tops.code.startswith("from collections import Counter as C\nimport os.path as p\n\n\ndef tops(words):\n")


def test_every_pair_runs_alone() -> None:
    for pair in extract(TEXT).pairs:
        space: dict[str, object] = {}
        exec(pair.code, space)
        assert callable(space[pair.name])
    space = {}
    exec(extract(TEXT).pairs[2].code, space)
    assert space["fact"](5) == 120  # type: ignore[operator]


def test_a_constant_assigned_twice_or_computed_is_not_taken() -> None:
    function = 'def f(n):\n    """Give back the smaller of two."""\n    return min(n, LIMIT)\n'
    for head in ("LIMIT = 3\nLIMIT = 4\n", "LIMIT = g()\n", "LIMIT = [\n1]\n"):
        found = extract(head + function)
        assert (found.pairs, found.dependent) == ([], 1)


def test_long_functions_are_left_out() -> None:
    body = "".join(f"    x{i} = {i}\n" for i in range(41))
    assert extract(f'def f():\n    """Do a lot of things here."""\n{body}    return x1\n').pairs == []
    assert extract(f'def f():\n    """Do a lot of things here."""\n    return "{"x" * 1500}"\n').pairs == []


@pytest.mark.parametrize(
    ("docstring", "text"),
    [
        ("  Give the sum of\n  two numbers.\n\n  More.", "Give the sum of two numbers."),
        ("Too short.", None),
        ("word " * 81, None),
        ("TODO: write this one day", None),
        ("See https://example.org for all of it", None),
        ("Donne la somme de deux entiers relatifs élevés", None),
        ("==== ---- ++++ #### ----", None),
        ("", None),
    ],
)
def test_paragraphs(docstring: str, text: str | None) -> None:
    assert paragraph(docstring) == text


def test_only_examples_with_literal_results_become_asserts() -> None:
    docstring = """
    >>> f(1)
    2
    >>> f('a')
    'b'
    >>> g(1)
    2
    >>> f(2)
    <object at 0x1>
    >>> f(3)
    Traceback (most recent call last):
    ValueError
    >>> x = 1
    >>> f([1,
    ...    2])
    3
    >>> f(4)
    [1, 2]
    >>> f(5)
    6
    """
    assert examples(docstring, "f") == ("assert f(1) == 2", "assert f('a') == 'b'", "assert f(4) == [1, 2]")
    assert examples(">>> f(1)\n 2\n>>>f(2)", "f") == ()


def test_text_that_does_not_parse_gives_nothing() -> None:
    assert extract("def f(:\n").pairs == []
