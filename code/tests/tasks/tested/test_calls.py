"""Proposed calls: deterministic, literal, short, of the kinds that the code asks for."""

import ast
import random

import pytest

from codelab.tasks.instructions import Instruction
from codelab.tasks.tested.calls import MOST_CALL, MOST_CALLS, change, example, proposed
from codelab.tasks.tested.kinds import NeedsObjectError
from codelab.tasks.tested.patterns import matching


def calls(code: str, *examples: str) -> list[str]:
    return [call.text for call in proposed(Instruction("Do it well.", code, "f", "here", examples))]


def test_calls_are_literal_short_different_and_the_same_each_time() -> None:
    code = "def f(words, n=2):\n    return [word.lower() for word in words if len(word) > n]\n"
    found = calls(code)
    assert found == calls(code) != calls(code.replace("> n", ">= n"))
    assert 10 < len(found) == len(set(found)) <= MOST_CALLS
    assert max(map(len, found)) <= MOST_CALL
    for text in found:
        (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
        values = [ast.literal_eval(part) for part in (*call.args, *(word.value for word in call.keywords))]
        assert len(values) in (1, 2)
    first = [ast.literal_eval(ast.parse(text, mode="eval").body.args[0]) for text in found[:14]]  # type: ignore[attr-defined]
    assert all(isinstance(value, list) and all(isinstance(word, str) for word in value) for value in first)
    assert sum(", " in text.rpartition("]")[2] for text in found) >= 3  # the default is changed now and then


def test_constants_separators_and_patterns_of_the_code_come_into_play() -> None:
    found = "\n".join(calls("def f(s):\n    a, b = s.split('=>')\n    return b if a == 'swap' else a\n"))
    assert found.count("=>") >= 3
    found = "\n".join(calls("import re\ndef f(s):\n    return re.findall(r'<(\\d{2})>', s)\n"))
    assert any(f"<{number:02}>" in found for number in range(100))
    found = "\n".join(calls("def f(x):\n    return 'big' if x > 4711 else 'small'\n"))
    assert "f(4711)" in found
    assert "f(4712)" in found


def test_later_arguments_are_taken_from_the_first_ones() -> None:
    found = [ast.parse(text, mode="eval").body for text in calls("def f(items: list[int], target: int): return 1\n")]
    pairs = [[ast.literal_eval(part) for part in call.args] for call in found]  # type: ignore[attr-defined]
    assert sum(target in items for items, target in pairs) >= len(pairs) / 4


def test_generators_keywords_and_stars_are_called_as_they_must() -> None:
    assert all(text.startswith("list(f(") for text in calls("def f(n):\n    yield from range(n)\n"))
    inner = "def f(n):\n    def g():\n        yield n + 1\n    return sum(g())\n"
    assert all(text.startswith("f(") for text in calls(inner))
    assert all("k=" in text for text in calls("def f(n: int, *, k: int):\n    return n * k\n"))
    assert all(text.count(", ") == 1 for text in calls("def f(*nums):\n    return sum(nums)\n"))


def test_lists_are_in_order_where_the_text_says_so_and_points_of_one_length() -> None:
    code = "def f(nums: list[int], target: int):\n    return nums.index(target)\n"
    pair = Instruction("Find the target in a sorted list.", code, "f", "here")
    assert all(call.arguments[0] == sorted(call.arguments[0]) for call in proposed(pair))
    assert any(
        ast.literal_eval(text[2:].partition("]")[0] + "]") != sorted(ast.literal_eval(text[2:].partition("]")[0] + "]"))
        for text in calls(code)
    )
    pair = Instruction("x", "def f(points):\n    return [p[0] + p[1] for p in points]\n", "f", "here")
    assert all(len(point) == 2 for call in proposed(pair)[:10] for point in call.arguments[0])


def test_ranges_run_upwards() -> None:
    code = "def f(pairs: list[tuple[int, int]]):\n    return [b - a for a, b in pairs]\n"
    found = proposed(Instruction("Give the lengths of the ranges.", code, "f", "here"))
    assert all(low <= high for call in found for low, high in call.arguments[0])
    found = proposed(Instruction("Give the differences.", code, "f", "here"))
    assert any(low > high for call in found for low, high in call.arguments[0])


def test_examples_are_changed_first() -> None:
    found = calls("def f(a, b):\n    return a + b\n", "assert f([1, 2], [3]) == [1, 2, 3]")
    assert found[0].startswith("f([")


@pytest.mark.parametrize(
    ("test", "found"),
    [
        ("assert f(1, k='a') == 2", ("f(1, k='a')", (1, "a"), "2")),
        ("assert f('a == b') == 'c == d'", ("f('a == b')", ("a == b",), "'c == d'")),
        ("assert f(g(1)) == 2", ("f(g(1))", (), "2")),
        ("assert f(1)[0] == 2", ("f(1)[0]", (), "2")),
        ("assert f(10)  # ten == 2", None),
        ("assert f(1) == g(2)", None),
        ("assert f(1) > 2", None),
        ("assert f(", None),
    ],
)
def test_examples_are_taken_apart(test: str, found: object) -> None:
    assert example(test) == found


@pytest.mark.parametrize("value", [True, 3, 0, 2.5, "two words", "x", "abc", [1, 2], ("a",), {"k": 1}, {3}, [], None])
def test_a_changed_value_has_the_same_type(value: object) -> None:
    for seed in range(20):
        assert type(change(value, random.Random(seed))) is type(value)


def test_objects_are_refused_unless_they_may_be_left_out() -> None:
    with pytest.raises(NeedsObjectError):
        calls("def f(graph):\n    return graph.nodes\n")
    with pytest.raises(NeedsObjectError):
        calls("def f(a: int, b: int, c: int, d: int, e: int, g: int):\n    return a\n")
    assert all(
        "key" not in text for text in calls("def f(nums, key=None):\n    return key(nums) if key else sum(nums)\n")
    )


def test_texts_match_their_pattern() -> None:
    import re

    for pattern in (r"(\w+)@(\w+)\.com", r"^[A-Z][a-z]{2,4}$", r"a|bc+", r"[^,]*,\s?\d"):
        found = matching(pattern, random.Random(1), 6)
        assert found
        assert all(re.search(pattern, text) for text in found)
    assert matching("(", random.Random(1), 3) == []
