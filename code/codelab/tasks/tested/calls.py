"""Calls to put to a function: arguments of the likeliest kinds first, some that belong together, changed examples.

The same pair gets the same calls everywhere: chance is seeded by the pair's code. Not covered: whether a call makes
sense; running tells.
"""

import ast
import itertools
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from codelab.tasks.instructions import Instruction
from codelab.tasks.tested import kinds, uses
from codelab.tasks.tested.kinds import Kind
from codelab.tasks.tested.plain import NotPlainError, literal
from codelab.tasks.tested.slots import Slot
from codelab.tasks.tested.values import battery

MOST_CALLS = 36
MOST_PARAMETERS = 5
MOST_CALL = 84
"""Characters of a call, so that the whole line stays short."""
_SHARES = (14, 8, 6, 5, 4, 4)
_ORDERED = re.compile(r"\bsorted\b(?! (list|array) of)|binary search|\bmerg(e|es|ing)\b", re.IGNORECASE)
_RANGES = re.compile(r"\b(intervals?|ranges?|segments?)\b", re.IGNORECASE)
_Row = list[tuple[str, Any]]
"""Arguments in the order of a call: the name, where it is given by name, and the value."""


@dataclass(frozen=True)
class Call:
    """A call as a test shows it.

    Attributes:
        text: source; ``list(f(3))`` where ``f`` is a generator.
        arguments: the values, in the order in which they are written.
        rank: of the combination of kinds that they are of, from 0; -1 for a changed example.
    """

    text: str
    arguments: tuple[Any, ...]
    rank: int


@dataclass(frozen=True)
class _Parameter:
    name: str
    kinds: tuple[Kind, ...]
    slot: Slot
    required: bool
    by_name: bool


def _in_order(value: Any) -> Any:
    """A list of numbers or of texts in order: what a search or a merge may rely on."""
    alike = isinstance(value, list) and len({type(item) for item in value}) == 1
    return sorted(value) if alike and type(value[0]) in (int, float, str) else value


def _low_high(value: Any) -> Any:
    """Pairs of numbers inside a collection with the lower one first: ranges that are not empty."""
    if not isinstance(value, list | tuple):
        return value
    pairs = [isinstance(item, list | tuple) and len(item) == 2 and {*map(type, item)} <= {int, float} for item in value]
    return type(value)(type(item)(sorted(item)) if pair else item for item, pair in zip(value, pairs, strict=True))


def function_of(code: str, name: str) -> ast.FunctionDef:
    """The definition of a name.

    Raises:
        LookupError: the code does not define such a function.
    """
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node
    raise LookupError(name)


def proposed(pair: Instruction) -> list[Call]:
    """Up to :data:`MOST_CALLS` different calls, the ones to prefer first.

    Raises:
        kinds.NeedsObjectError: a parameter that no plain value can be given for.
    """
    function = function_of(pair.code, pair.entry_point)
    choose = random.Random(zlib.crc32(pair.code.encode("utf-8", "surrogatepass")))
    parameters = _parameters(function)
    examples = [call for call in map(_arguments, pair.examples) if call is not None]
    if len(parameters) > MOST_PARAMETERS:
        raise kinds.NeedsObjectError("too many parameters")
    generator = yields(function)
    ranges = bool(_RANGES.search(pair.text))
    in_order = bool(_ORDERED.search(pair.text)) and not pair.text.lower().startswith("sort")
    found: dict[str, Call] = {}
    changed = ((-1, row) for row in _changed(examples, choose))
    for rank, given in itertools.chain(changed, _combined(parameters, choose)):
        row = [(name, _in_order(value) if in_order else value) for name, value in given]
        row = [(name, _low_high(value) if ranges else value) for name, value in row]
        try:
            inside = ", ".join(f"{name}={literal(value)}" if name else literal(value) for name, value in row)
        except NotPlainError:
            continue
        text = f"{pair.entry_point}({inside})"
        text = f"list({text})" if generator else text
        if len(text) <= MOST_CALL:
            found.setdefault(text, Call(text, tuple(value for _, value in row), rank))
        if len(found) == MOST_CALLS:
            break
    return list(found.values())


def yields(function: ast.FunctionDef) -> bool:
    """Whether it is a generator function: a ``yield`` of its own, not of one inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting += ast.iter_child_nodes(node)
    return False


def example(test: str) -> tuple[str, tuple[Any, ...], str] | None:
    """An example's call, its literal arguments (none where it is more than a plain call), and the expected literal.

    None where it is no such comparison; a comment inside it may hide the expected value.
    """
    try:
        statement = ast.parse(test).body[0]
        compared = statement.test if isinstance(statement, ast.Assert) else None
        if not isinstance(compared, ast.Compare) or [type(op) for op in compared.ops] != [ast.Eq]:
            return None
        ast.literal_eval(compared.comparators[0])
    except (SyntaxError, ValueError, TypeError, IndexError, MemoryError, RecursionError):
        return None
    call, expected = (ast.get_source_segment(test, part) or "" for part in (compared.left, compared.comparators[0]))
    return call, tuple(value for _, value in _arguments(test) or ()), expected


def _parameters(function: ast.FunctionDef) -> list[_Parameter]:
    a = function.args
    slots = uses.of_function(function)
    plain = [*a.posonlyargs, *a.args]
    defaults: list[ast.expr | None] = [*[None] * (len(plain) - len(a.defaults)), *a.defaults]
    listed = [
        *((argument, default, False) for argument, default in zip(plain, defaults, strict=True)),
        *((argument, default, True) for argument, default in zip(a.kwonlyargs, a.kw_defaults, strict=True)),
    ]
    found = []
    for argument, default, by_name in listed:
        try:
            likely = tuple(kinds.of_parameter(argument, default, slots[argument.arg]))
        except kinds.NeedsObjectError:
            if default is None:
                raise
            continue  # an optional object is left to its default
        found.append(_Parameter(argument.arg, likely, slots[argument.arg], default is None, by_name))
    if a.vararg is not None and not plain:
        slot = slots[a.vararg.arg].element
        likely = tuple(kinds.of_parameter(ast.arg(a.vararg.arg.removesuffix("s"), a.vararg.annotation), None, slot))
        found = [_Parameter("", likely, slot, required=True, by_name=False)] * 2 + found
    return found


def _combined(parameters: Sequence[_Parameter], choose: random.Random) -> Iterator[tuple[int, _Row]]:
    """Rows of arguments with the rank of their combination of kinds, a few calls each."""
    ranks = sorted(
        itertools.product(*[range(len(one.kinds[:3])) for one in parameters]), key=lambda row: (sum(row), row)
    )
    for number, (share, row) in enumerate(zip(_SHARES, ranks, strict=False)):
        pools = [
            battery(one.kinds[rank], one.name, one.slot, choose) for one, rank in zip(parameters, row, strict=True)
        ]
        for turn in range(2 * share):
            values = _row(parameters, pools, turn, choose)
            if values is not None:
                yield number, values


def _row(parameters: Sequence[_Parameter], pools: list[list[Any]], turn: int, choose: random.Random) -> _Row | None:
    given: _Row = []
    skipped = False
    several = len([one for one in parameters if one.required]) > 1
    for one, pool in zip(parameters, pools, strict=True):
        # Defaults mostly stay as they are: the text seldom speaks of them.
        if not one.required and turn % 3 != 2:
            skipped = True
            continue
        value = pool[turn % len(pool)] if not given and not several else choose.choice(pool[: 4 + turn])
        if given and choose.random() < 0.5:
            value = _related(value, given[0][1], choose)
        given.append((one.name if one.by_name or skipped else "", value))
    return given


def _related(value: Any, first: Any, choose: random.Random) -> Any:
    """An element or a piece of the first argument where the second is of that type; else the value itself."""
    inside = list(first) if isinstance(first, (str, *(list, tuple, dict))) and first else []
    same = [item for item in inside if type(item) is type(value)]
    if isinstance(first, str) and isinstance(value, str) and len(first) > 3 and choose.random() < 0.5:
        start = choose.randrange(len(first) - 1)
        return first[start : start + choose.randint(1, 3)]
    return choose.choice(same) if same else value


def _arguments(test: str) -> _Row | None:
    """The literal arguments of the call in an example; None where it is another thing."""
    try:
        statement = ast.parse(test).body[0]
        call = statement.test.left if isinstance(statement, ast.Assert) else None  # type: ignore[attr-defined]
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            return None
        named = [(word.arg, ast.literal_eval(word.value)) for word in call.keywords if word.arg]
        return [*(("", ast.literal_eval(part)) for part in call.args), *named]
    except (SyntaxError, ValueError, TypeError, AttributeError, IndexError, MemoryError, RecursionError):
        return None


def _changed(shown: Sequence[_Row], choose: random.Random) -> Iterator[_Row]:
    """The examples' arguments with one or all of them changed."""
    for turn in range(16 if shown else 0):
        row = shown[turn % len(shown)]
        if not row:
            continue
        only = choose.randrange(len(row)) if turn % 2 else None
        yield [(name, change(value, choose) if only in (None, at) else value) for at, (name, value) in enumerate(row)]


def change(value: Any, choose: random.Random) -> Any:
    """A plain value much like another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        other = value + choose.choice((-2, -1, 1, 2, 3, value)) if value else choose.choice((1, 2, 5))
        return max(other, 0) if value >= 0 else other
    if isinstance(value, float):
        return choose.choice((value + 1, value * 2, value / 2, value + 0.5))
    if isinstance(value, str):
        return _changed_text(value, choose)
    if isinstance(value, list | tuple) and value:
        items = list(value)
        way = choose.randrange(4)
        at = choose.randrange(len(items))
        if way == 0 and len(items) > 1:
            del items[at]
        elif way == 1:
            items.reverse()
        elif way == 2:
            items.insert(at, items[-1])
        else:
            items[at] = change(items[at], choose)
        return type(value)(items)
    if isinstance(value, dict) and value:
        return {key: change(item, choose) for key, item in value.items()}
    if isinstance(value, set) and value:
        return {change(item, choose) for item in sorted(value, key=repr)}
    return value


def _changed_text(text: str, choose: random.Random) -> str:
    words = text.split(" ")
    if len(words) > 1:
        at = choose.randrange(len(words))
        return " ".join(choose.choice((words[::-1], words[:at] + words[at + 1 :], [*words, words[at]])))
    if len(text) < 2:
        return choose.choice("abcxyz129")
    at = choose.randrange(len(text))
    return choose.choice((text[::-1], text[:at] + text[at + 1 :], text + text[at], text.upper(), text.lower()))
