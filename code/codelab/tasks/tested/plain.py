"""Answers as literals for ``assert`` lines: which values are plain and short enough, and their one spelling.

Floats: only those that eight significant digits spell exactly, since a test compares by equality; a longer one hangs on
the order of operations. Not covered: bytes, complex numbers and objects, which are refused.
"""

import ast
import math
from typing import Any

MOST_RESULT = 80
"""Characters of an answer."""
MOST_LINE = 120
"""Characters of a whole ``assert`` line."""
_DIGITS = 8
_LETTERS = frozenset("\n\t") | frozenset(map(chr, range(32, 127)))
_SIZED = (str, list, tuple, set, frozenset, dict)


class NotPlainError(Exception):
    """The value is no literal that a test may compare with; the message is the reason."""


def literal(value: Any) -> str:
    """The value in source form: equal values have one spelling, whatever the order of a set.

    Raises:
        NotPlainError: another type than None, bool, int, float, str, list, tuple, set or dict; a float that is not
            short; text beyond printable ASCII; or far more than a line holds.
    """
    kind = type(value)
    if (kind is int and value.bit_length() > 4 * MOST_LINE) or (kind in _SIZED and len(value) > MOST_LINE):
        raise NotPlainError("too long")
    if value is None or kind in (bool, int):
        return repr(value)
    if kind is float:
        return _float(value)
    if kind is str:
        if not set(value) <= _LETTERS:
            raise NotPlainError("odd characters")
        return repr(value)
    if kind is list:
        return f"[{', '.join(map(literal, value))}]"
    if kind is tuple:
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if kind is set or kind is frozenset:
        return f"{{{', '.join(_ordered(value))}}}" if value else "set()"
    if kind is dict:
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    raise NotPlainError("not a plain value")


def answer(value: Any) -> str:
    """The literal of an answer that a test may expect.

    Raises:
        NotPlainError: as :func:`literal`, or too long, or not what its own literal reads back as.
    """
    text = literal(value)
    if len(text) > MOST_RESULT:
        raise NotPlainError("too long")
    try:
        same = ast.literal_eval(text) == value
    except (TypeError, ValueError):  # a set of sets, say
        same = False
    if not same:
        raise NotPlainError("not what its literal says")
    return text


def line(call: str, expected: str) -> str:
    """The ``assert`` line of a call."""
    return f"assert {call} == {expected}"


def _float(value: float) -> str:
    text = repr(value)
    digits = text.partition("e")[0].replace(".", "").lstrip("-0")
    if not math.isfinite(value) or len(digits.rstrip("0")) > _DIGITS or (value == 0 and text.startswith("-")):
        raise NotPlainError("a float that is not short")
    return text


def _ordered(items: Any) -> list[str]:
    try:
        return [literal(item) for item in sorted(items)]
    except TypeError:
        return sorted(map(literal, items))
