"""The child's side of the wire: a value becomes a line of JSON, if it is plain.

Plain is: None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range and deque, by
*exact* type; Counter, OrderedDict and defaultdict, which become dicts (as ``==`` has it); and iterators and views of
the standard library, which become iterators. Anything else is named, not sent: an object with its own ``__eq__`` never
leaves the child. A program may forge what is sent; it can only forge an answer. Not covered: Decimal and Fraction.
"""

import collections
import json
from collections.abc import Callable
from typing import Any, Final

MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
MAX_INT_BITS: Final = 1 << 18

_PLAIN: Final = frozenset({type(None), bool, str, float})
_SEQUENCES: Final[dict[type, str]] = {list: "l", tuple: "t", set: "s", frozenset: "z", collections.deque: "q"}
_MAPPINGS: Final = frozenset({dict, collections.Counter, collections.OrderedDict, collections.defaultdict})
_ITERATORS: Final = frozenset(
    {
        *map(type, ({}.keys(), {}.values(), {}.items(), iter([]), iter(()), iter(set()), iter({}), iter(""))),
        *map(type, (iter(range(0)), iter({}.values()), iter({}.items()), reversed([]), (_ for _ in ()))),
        map,
        filter,
        zip,
        enumerate,
    }
)
_SAFE_INT: Final = 1 << 53


class NotPlainError(Exception):
    """The value cannot be sent; the message says why."""


class Encoder:
    """Turns one value into JSON-ready lists; counts nodes over the whole value."""

    def __init__(self) -> None:
        self._nodes = 0

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The value with its types as tags.

        Raises:
            NotPlainError: an object that is not plain, or too many, too deep or too long.
        """
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise NotPlainError("a value too large" if depth <= MAX_DEPTH else "a value nested too deeply")
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is int:
            if -_SAFE_INT < value < _SAFE_INT:
                return value
            if value.bit_length() > MAX_INT_BITS:
                raise NotPlainError("an integer too large")
            return ["i", hex(value)]
        if kind in _SEQUENCES:
            return [_SEQUENCES[kind], *[self.encode(item, depth + 1) for item in value]]
        if kind in _MAPPINGS:
            pairs = [(self.encode(key, depth + 1), self.encode(item, depth + 1)) for key, item in dict.items(value)]
            return ["d", *[part for pair in pairs for part in pair]]
        if kind in _ITERATORS:
            return ["g", *[self.encode(item, depth + 1) for item in value]]
        return self._rare(kind, value)

    def _rare(self, kind: type, value: Any) -> Any:
        if kind is complex:
            return ["c", value.real, value.imag]
        if kind is bytes or kind is bytearray:
            return ["b" if kind is bytes else "y", bytes(value).decode("latin-1")]
        if kind is range:
            return ["r", *[self.encode(part) for part in (value.start, value.stop, value.step)]]
        raise NotPlainError("an object that is not a plain value")


_dumps: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=True, check_circular=False).encode


def line(*parts: Any) -> bytes:
    """One frame of the protocol."""
    return _dumps(parts).encode("ascii") + b"\n"


def answer(value: Any) -> bytes:
    """The frame that answers a call with a value, or says that it is not plain."""
    try:
        return line("v", Encoder().encode(value))
    except NotPlainError as error:
        return line("x", str(error))
