"""Small values of a kind, natural ones first: from the code's own constants, from the parameter's name, from a battery.

Not covered: which calls are made of them (``codelab.tasks.tested.calls``).
"""

import random
import re
from typing import Any

from codelab.tasks.tested.kinds import Kind
from codelab.tasks.tested.patterns import matching
from codelab.tasks.tested.slots import Slot

_INTS = (5, 3, 10, 7, 2, 12, 1, 25, 0, 100, 8, -4, 36, 6, 97)
_SMALL_INTS = (3, 1, 2, 5, 4, 2, 7, 6, 1, 9, 8, 4, 10, 3, 0, 12, -1, 5, 5, 20, -3, 15)
_FLOATS = (2.5, 1.0, 0.5, 10.0, 4.0, -1.5, 3.25, 0.0, 100.0, 0.25)
_WORDS = ("hello", "abc", "Python", "racecar", "tree", "banana", "x", "data", "apple", "level", "red", "Zoo")
_TEXTS = ("hello world", "Hello World", "abc", "The quick brown fox", "racecar", "a1b2c3", "banana", "x", "foo_bar",
          "One, two and three", "AbcDef", "  padded ", "12", "aaabbc", "")  # fmt: skip
_NAMED: list[tuple[str, tuple[Any, ...]]] = [
    (
        r"url|uri|link|href",
        (
            "https://example.com/a/b",
            "http://test.org/?x=1&y=2",
            "https://www.site.net:8080/c.html",
            "ftp://files.net",
            "example.com",
        ),
    ),
    (r"mail", ("ann@example.com", "bob.smith@mail.org", "no-at-sign", "a@b")),
    (r"^(dna|rna|strand|sequence|genome)", ("ACGT", "GATTACA", "AAGGCT", "TTT", "GGCC")),
    (r"path|file|fname|folder|director", ("src/main.py", "/home/user/notes.txt", "archive.tar.gz", "a/b/c", "README")),
    (r"date|day_str|birth", ("2024-01-15", "2023-12-31", "1999-02-28", "2000-02-29")),
    (r"time|duration|clock|timestamp", ("12:30:45", "00:05:00", "9:15", "23:59:59")),
    (r"version|release", ("1.2.3", "2.0", "1.10.0", "3.11.4rc1", "v0.9")),
    (r"^ip|address|addr|host", ("192.168.0.1", "10.0.0.255", "localhost:8080", "256.1.1.1", "example.org")),
    (r"hex|colou?r|rgb", ("ff8000", "1a2b3c", "#00ff7f", "#fff", "red")),
    (r"^bin|bits|binary", ("1010", "1", "11111111", "10011", "0")),
    (r"roman", ("XIV", "IX", "MCMXCIV", "III", "XL")),
    (r"bracket|paren|expr|equation|formula", ("(a + b) * c", "()[]{}", "(()", "1 + 2 * 3", "([)]")),
    (r"isbn|digits|number|num|card|phone|code|zip|^n$", ("12345", "42", "9780306406157", "555-1234", "0", "7")),
    (r"json", ('{"a": 1}', "[1, 2]", '{"b": [true]}')),
    (r"html|xml|tag|markup", ("<b>bold</b>", "<p>a</p><p>b</p>", "plain", "a &amp; b")),
    (r"camel|class_?name|identifier|ident", ("HelloWorld", "myVariableName", "simple", "HTTPServer", "snake_case")),
    (r"snake|slug|name|key|label|title", ("my_variable", "HelloWorld", "foo-bar", "John Smith", "first_name", "a")),
    (r"^(line|row)", ("key = value", "# a comment", "  indented", "a, b, c", "")),
    (r"lines", ("a\nb\nc", "one\ntwo", "single")),
    (r"^(char|ch|c|letter|symbol)$", ("a", "Z", "5", "e", " ", "?")),
    (r"sep|delim", (",", "-", " ", "_")),
    (r"prefix|suffix|indent", ("pre", "> ", "_", "ing")),
    (r"word|token|string|^s$|^st$", (*_WORDS[:6], "Mississippi")),
    (r"text|sentence|content|paragraph|phrase|msg|message", (*_TEXTS[:4], "Hi! How are you? Fine.", "a b a c b a")),
]
_NUMBERS: list[tuple[str, tuple[int, ...]]] = [
    (r"year", (2000, 2023, 1900, 2024, 1999)),
    (r"month", (1, 2, 12, 6, 13)),
    (r"^day", (1, 15, 31, 29)),
    (r"seconds?$|secs?$|duration|elapsed|^time|millis", (59, 3661, 7200, 90, 86400, 0)),
    (r"bytes|size", (512, 1024, 1536, 2048000, 0, 5)),
    (r"index|idx|pos|^i$|^j$|offset|shift", (1, 0, 2, 3, -1)),
    (r"^k$|step|width|chunk|batch|window|rotat|depth|level", (2, 3, 1, 4, 5)),
    (r"base|radix", (2, 10, 16, 8)),
    (r"exp|power", (2, 3, 0, 5, 10)),
    (r"percent|score|grade|age", (85, 50, 100, 12, 67)),
]
_COUNTS = r"(n|k|m|num\w*|count|length|limit|width|height|size|step|index|\w+_(size|count|length)|n_\w+)$"


def battery(kind: Kind, name: str, slot: Slot, choose: random.Random, depth: int = 0) -> list[Any]:
    """Up to some twenty different values of a kind, the most natural ones first.

    Args:
        kind: what they are.
        name: the parameter's.
        slot: how the code uses it.
        choose: the only source of chance.
        depth: how deep in another value they lie.
    """
    if kind.name in ("int", "float", "str"):
        return _scalars(kind.name, name, slot, choose, depth)
    if kind.name == "bool":
        return [True, False]
    if kind.name == "none":
        return [None]
    if kind.name == "record":
        return _records(kind, slot, choose, depth)
    if kind.name == "tuple":
        places = slot.places if len(slot.places) == len(kind.parts) else [slot.element if slot.has("element") else slot]
        pools = [battery(part, name, places[at % len(places)], choose, depth + 1) for at, part in enumerate(kind.parts)]
        return _unique([tuple(choose.choice(pool[:8]) for pool in pools) for _ in range(12)])
    if kind.name == "dict":
        keys = battery(kind.parts[0], "name", slot.key if slot.has("key") else Slot(), choose, depth + 1)
        items = battery(kind.parts[1], "", slot.value if slot.has("value") else Slot(), choose, depth + 1)
        keys = [key for key in keys if not isinstance(key, list | dict | set)] or ["a", "b", "c"]
        short = ["a", "b", "c", "d"] if kind.parts[0].name == "str" and not slot.key.whole else keys
        pools = [short if turn % 2 == 0 else keys for turn in range(8)]
        made = [dict(zip(choose.sample(pool[:6], min(size, len(pool[:6]))), _drawn(items, size, choose), strict=False))
                for pool, size in zip(pools, (2, 3, 2, 1, 3, 2, 4, 1), strict=True)]  # fmt: skip
        return _unique([*made, {}])
    return _collections(kind, name, slot, choose, depth)


def _scalars(kind: str, name: str, slot: Slot, choose: random.Random, depth: int) -> list[Any]:
    if kind == "str":
        return _strings(name, slot, choose, depth)
    if kind == "int" and re.match(r"(bits?|binary)$", name.lower()):
        return [1, 0]
    constants = [value for value in slot.whole if type(value) in (int, float) and abs(value) <= 100_000]
    near = [value + step for value in constants[:6] for step in (0, 1, -1)]
    named = next((values for pattern, values in _NUMBERS if re.search(pattern, name.lower())), ())
    if kind == "float":
        return _unique([float(value) for value in (*near[:6], *_mixed(_FLOATS, choose), *named)])
    usual = _SMALL_INTS if depth else _INTS
    found = [*named, *[int(value) for value in near], *_mixed(usual, choose)]
    counted = re.match(_COUNTS, name.lower())
    return _unique([value for value in found if value >= 0] if counted else found)


def _strings(name: str, slot: Slot, choose: random.Random, depth: int) -> list[str]:
    wholes = [value for value in slot.whole if isinstance(value, str) and len(value) <= 24]
    made: list[str] = []
    for part in dict.fromkeys(slot.inside[:5]):
        if 0 < len(part) <= 16:
            a, b, c = choose.sample(_WORDS[:10], 3)
            made += [f"{a}{part}{b}", f"{a}{part}{b}{part}{c}", f"{part}{a}", f"{a}{part}"]
    for pattern in dict.fromkeys(slot.patterns[:3]):
        made += matching(pattern, choose, 4)
    named = [value for pattern, values in _NAMED if re.search(pattern, name.lower()) for value in values][:8]
    usual = _WORDS if depth else _TEXTS
    mixed = [value for group in zip(_pad(made, 6), _pad(wholes, 6), _pad(named, 6), strict=False) for value in group]
    return _unique([value for value in [*mixed, *made, *wholes, *_mixed(usual, choose)] if value is not None])


def _collections(kind: Kind, name: str, slot: Slot, choose: random.Random, depth: int) -> list[Any]:
    part = kind.parts[0]
    inner = slot.element if slot.has("element") else Slot()
    pool = battery(part, name.rstrip("s"), inner, choose, depth + 1)
    if part.name == "list" and part.parts[0].name in ("int", "float") and inner.reach < 2:
        made = [_matrix(part.parts[0].name, *shape, choose) for shape in ((2, 2), (3, 3), (2, 3), (1, 3), (3, 2))]
        made += [_drawn(pool, size, choose) for size in (2, 3)]
    else:
        made = [_drawn(pool, size, choose) for size in ((3, 4, 5, 2, 4, 3, 6, 1, 5) if not depth else (2, 3, 2, 1, 3))]
    if depth and slot.reach > 1:
        made = [_drawn(pool, slot.reach, choose) for _ in range(6)]  # a point, a row: all of one length
        return _unique([set(value) for value in made] if kind.name == "set" else made)
    if part.name == "int":
        made[2:2] = [sorted(made[2]), [*made[1], made[1][0]]]
    made.append([])
    return _unique([set(value) for value in made] if kind.name == "set" else made)


def _records(kind: Kind, slot: Slot, choose: random.Random, depth: int) -> list[Any]:
    pools = [battery(part, key, slot.fields.get(key, Slot()), choose, depth + 1)
             for key, part in zip(kind.keys, kind.parts, strict=True)]  # fmt: skip
    whole = [{key: choose.choice(pool[:6]) for key, pool in zip(kind.keys, pools, strict=True)} for _ in range(8)]
    absent = [{key: value for key, value in one.items() if key != choose.choice(kind.keys)} for one in whole[:3]]
    return _unique([*whole, *absent])


def _matrix(kind: str, rows: int, columns: int, choose: random.Random) -> list[list[Any]]:
    make = (lambda: choose.choice(_SMALL_INTS)) if kind == "int" else (lambda: choose.choice(_FLOATS))
    return [[make() for _ in range(columns)] for _ in range(rows)]


def _drawn(pool: list[Any], size: int, choose: random.Random) -> list[Any]:
    return (
        [choose.choice(pool[:12]) for _ in range(size)]
        if choose.random() < 0.4 or len(pool) < size
        else (choose.sample(pool[:14], min(size, len(pool[:14]))))
    )


def _mixed(values: tuple[Any, ...], choose: random.Random) -> list[Any]:
    """The first ones in another order, so that not every task asks about the same values; the odd ones stay last."""
    first, rest = list(values[:7]), list(values[7:])
    choose.shuffle(first)
    return first + rest


def _pad(values: list[Any], size: int) -> list[Any]:
    return [*values[:size], *[None] * (size - len(values[:size]))]


def _unique(values: list[Any]) -> list[Any]:
    seen: dict[str, Any] = {}
    for value in values:
        seen.setdefault(repr(value), value)
    return list(seen.values())[:24]
