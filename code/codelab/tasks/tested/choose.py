"""Which answered calls become tests: different answers, few empty ones, wrong programs caught, short before long.

Dropped where any program that never looks would pass: a constant, None, or one of the arguments given back. Not
covered: running (``codelab.evaluate.tested``).
"""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from codelab.tasks.tested.plain import MOST_LINE, NotPlainError, line, literal

TESTS = 3
"""Tests a task."""
LEAST = 2
MOST_CONSIDERED = 10
"""Calls a function that are run again and against mutants."""
_EMPTY = frozenset({"[]", "''", "{}", "()", "set()", "None", "0", "0.0"})
_PROMISES: list[tuple[str, frozenset[type]]] = [
    (r"(check|test|determine|verify|validate|decide)s?|returns? (true|whether|if)|whether|is|are|does|has",
     frozenset({bool, int})),
    (r"\w+[- ]?sort|sorts?", frozenset({list, tuple, str, dict})),
    (r"count|returns? the (number|count)", frozenset({int, dict, float})),
    (r"converts? .* to (a )?str(ing)?|formats?|returns? (a|the) string", frozenset({str})),
    (r"returns? (a|the) list", frozenset({list, tuple})),
]  # fmt: skip
"""What a text's first words promise of the answers' types."""
_SEVERAL = re.compile(
    r"tuple|triple|list|\(|vector|point|colou?r|rgb|sequence|permut|combin|coordinate|\band\b|version|all|every|element|items",
    re.IGNORECASE,
)
_TEXT = re.compile(r"[A-Za-z]{3,}")


@dataclass(frozen=True)
class Answered:
    """A call and the literal of its answer.

    Attributes:
        call: source.
        arguments: its values.
        expected: the answer's literal.
        kills: numbers of the mutants that answer otherwise.
        shown: it stands in the docstring.
    """

    call: str
    arguments: tuple[Any, ...]
    expected: str
    kills: frozenset[int] = field(default=frozenset())
    shown: bool = False

    @property
    def line(self) -> str:
        """The test."""
        return line(self.call, self.expected)


def considered(answered: Sequence[Answered]) -> list[Answered]:
    """At most :data:`MOST_CONSIDERED` of the calls, their answers as different as can be; earlier ones first."""
    short = [one for one in answered if len(one.line) <= MOST_LINE]
    kept: list[Answered] = []
    counts: dict[str, int] = {}
    for most in (1, 2, 4, MOST_CONSIDERED):
        for one in short:
            if len(kept) == MOST_CONSIDERED:
                return kept
            if one not in kept and counts.get(one.expected, 0) < (1 if one.expected in _EMPTY else most):
                kept.append(one)
                counts[one.expected] = counts.get(one.expected, 0) + 1
    return kept


def chosen(given: Sequence[Answered], offered: Sequence[Answered]) -> list[Answered]:
    """Up to :data:`TESTS` tests: the docstring's own first, then greedily the best of those offered.

    Args:
        given: of the docstring, passing.
        offered: made by running.
    """
    tests = list(given[:TESTS])
    left = [one for one in offered if all(one.call != other.call for other in tests)]
    while left and len(tests) < TESTS:
        best = max(left, key=lambda one: _worth(one, tests, offered))
        tests.append(best)
        left.remove(best)
    return tests


def _worth(one: Answered, tests: Sequence[Answered], offered: Sequence[Answered]) -> tuple[float, ...]:
    killed = frozenset[int]().union(*(test.kills for test in tests)) if tests else frozenset()
    answers = [test.expected for test in tests]
    empty = one.expected in _EMPTY or _bare(one)
    return (
        one.expected not in answers,
        not (empty and any(test.expected in _EMPTY or _bare(test) for test in tests)),
        not _given_back(one),
        len(one.kills - killed) - 2.0 * empty - len(one.line) / 60,
        -offered.index(one),
    )


def _bare(one: Answered) -> bool:
    """Whether every argument is empty."""
    return not any(value or (value == 0 and value is not False) for value in one.arguments)


def _given_back(one: Answered) -> bool:
    value = ast.literal_eval(one.expected)
    return any(type(argument) is type(value) and argument == value for argument in one.arguments)


def trivial(tests: Sequence[Answered]) -> str:
    """Which program that never computes anything passes all tests; empty where none does."""
    answers = [ast.literal_eval(one.expected) for one in tests]
    if all(answer == answers[0] for answer in answers):
        return "one answer to every call"
    if sum(answer is None for answer in answers) > len(answers) / 2:
        return "mostly None"
    places = min((len(one.arguments) for one in tests), default=0)
    for place in range(places):
        given = [one.arguments[place] for one in tests]
        for why, program in _TRIVIAL:
            if all(_same(program(value), answer) for value, answer in zip(given, answers, strict=True)):
                return why
        frames = {_frame(one.expected, value) for one, value in zip(tests, given, strict=True)}
        if len(frames) == 1 and "" not in frames:
            return "an argument in a frame"
    return ""


def _frame(expected: str, value: Any) -> str:
    """A list's or tuple's literal with the argument cut out; empty where the argument is not in it as a whole."""
    try:
        inside = literal(value)
    except NotPlainError:  # of an example in a docstring, which may show anything
        return ""
    whole = re.sub(rf"(?<![\w.]){re.escape(inside)}(?![\w.])", "\0", expected)
    return whole if "\0" in whole and expected[0] in "[(" else ""


_TRIVIAL: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("an argument given back", lambda value: value),
    ("whether an argument is empty", bool),
    ("an argument as text", str),
    ("an argument as a list", lambda value: list(value) if isinstance(value, str | tuple | set) else None),
)
"""Programs of one builtin or less, by what is said of tests that they pass."""


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def unlike(text: str, tests: Sequence[Answered]) -> bool:
    """Whether the answers are of another type than the text's first words promise."""
    values = [ast.literal_eval(one.expected) for one in tests]
    if any(isinstance(value, tuple) and len(value) > 2 for value in values) and not _SEVERAL.search(text):
        return True
    types = {type(value) for value in values} - {type(None)}
    return any(
        re.match(rf"\W*({pattern})\b", text, re.IGNORECASE) and not types <= promised for pattern, promised in _PROMISES
    )


def unguessable(text: str, code: str, tests: Sequence[Answered]) -> bool:
    """Whether an answer holds a text of the code's own that neither the question nor any call shows.

    Such an answer cannot be known before the tests are seen: a label, a message, a value of a table.
    """
    shown = " ".join([text, *(one.call for one in tests)]).lower()
    constants = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
    texts = {word.lower() for value in constants if isinstance(value, str) for word in _TEXT.findall(value)}
    answers = {word.lower() for one in tests for word in _TEXT.findall(one.expected)} - {"true", "false", "none"}
    return any(word not in shown for word in texts & answers)


def summary(kept: Sequence[Sequence[Answered]], left_out: Mapping[str, int]) -> dict[str, Any]:
    """Counts for the data card: tests a task, types of answers, reasons why pairs were left out."""
    types: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for tests in kept:
        sizes[str(len(tests))] = sizes.get(str(len(tests)), 0) + 1
        for one in tests:
            name = type(ast.literal_eval(one.expected)).__name__
            types[name] = types.get(name, 0) + 1
    return {
        "tasks": len(kept),
        "tests": sum(map(len, kept)),
        "tests_derived": sum(not one.shown for tests in kept for one in tests),
        "tasks_with_examples_of_their_own": sum(any(one.shown for one in tests) for tests in kept),
        "tests_a_task": dict(sorted(sizes.items())),
        "answer_types": dict(sorted(types.items(), key=lambda item: (-item[1], item[0]))),
        "left_out": dict(sorted(left_out.items(), key=lambda item: (-item[1], item[0]))),
    }
