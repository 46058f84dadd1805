"""Short texts that a regular expression matches, for functions that look for one in their argument.

Not covered: look-around, back-references and flags; a text may then fail to match, which is a fair test, too.
"""

import importlib
import random
import string
from typing import Any

_parser: Any = importlib.import_module("re._parser")
_CLASSES = {
    "CATEGORY_DIGIT": string.digits, "CATEGORY_WORD": "abcxyzABC_123", "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": "abcXY-", "CATEGORY_NOT_WORD": " -.,!", "CATEGORY_NOT_SPACE": "abcdeXY123",
}  # fmt: skip
_ANY = "abcdexyz123"


def matching(pattern: str, choose: random.Random, count: int) -> list[str]:
    """Up to ``count`` different texts of at most forty printable characters; none for what is no valid pattern."""
    try:
        tree = _parser.parse(pattern)
    except (ValueError, RecursionError, OverflowError, _parser.error):
        return []
    made = ["".join(_some(item, choose) for item in tree) for _ in range(count)]
    return list(dict.fromkeys(text for text in made if 0 < len(text) <= 40 and text.isprintable()))


def _some(item: Any, choose: random.Random) -> str:
    name, value = str(item[0]), item[1]
    if name == "LITERAL":
        return chr(value)
    if name == "NOT_LITERAL":
        return choose.choice([letter for letter in _ANY if ord(letter) != value])
    if name == "ANY":
        return choose.choice(_ANY)
    if name == "IN":
        return _member(value, choose)
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        low, high, inner = value
        times = choose.randint(int(low), min(int(high), int(low) + 3))
        return "".join(_some(part, choose) for _ in range(min(times, 12)) for part in inner)
    if name == "SUBPATTERN":
        return "".join(_some(part, choose) for part in value[3])
    if name == "BRANCH":
        return "".join(_some(part, choose) for part in choose.choice(value[1]))
    return ""


def _member(parts: list[Any], choose: random.Random) -> str:
    allowed, negated = "", False
    for name, value in ((str(part[0]), part[1]) for part in parts):
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            allowed += chr(value)
        elif name == "RANGE":
            allowed += "".join(map(chr, range(value[0], min(value[1], value[0] + 40) + 1)))
        elif name == "CATEGORY":
            allowed += _CLASSES.get(str(value), "a")
    if negated:
        allowed = "".join(letter for letter in _ANY + " -.XYZ" if letter not in allowed)
    return choose.choice(allowed or "a")
