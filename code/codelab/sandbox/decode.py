"""The parent's side of the wire: a frame that anybody may have written becomes a plain value or is refused.

Nothing here trusts the sender: sizes, depth and types are checked again, and sets and dicts whose keys were chosen to
share one hash are refused, for comparing them would take the parent hours. Not covered: what a value means
(``codelab.sandbox.plan``).
"""

import collections
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from codelab.sandbox.guest.encode import MAX_DEPTH, MAX_INT_BITS, MAX_NODES

_MOST_SHARING_A_HASH = 200
_UNLIKE_SHARING_A_HASH = 8


class ForgedError(Exception):
    """A frame that the child's own code would not have written."""


@dataclass(frozen=True)
class Answer:
    """What a step came to: a value, or why there is none.

    Attributes:
        kind: ``v`` a value; ``x`` a value that is not plain; ``missing_name`` or ``exception`` raised.
        value: the value, for ``v``.
        detail: one line, for the others.
    """

    kind: Literal["v", "x", "missing_name", "exception"]
    value: Any = None
    detail: str = ""


@dataclass(frozen=True)
class Frames:
    """A child's whole output, taken apart.

    Attributes:
        ready: it had taken its measures and read its job.
        fault: what the sandbox itself said went wrong before that.
        program: failure class and detail of the program itself; None where it did not get so far.
        answers: one for each step answered, in order.
        forged: why the rest of the output was refused.
    """

    ready: bool
    fault: str
    program: tuple[str, str] | None
    answers: tuple[Answer, ...]
    forged: str


def frames(output: bytes, steps: int) -> Frames:
    """Take a child's output apart; frames after the first bad one are ignored.

    Args:
        output: everything that came through the pipe.
        steps: how many answers are expected at most.
    """
    lines = output.split(b"\n")
    lines.pop()  # empty after the last newline, or a frame cut short
    ready, fault, program, forged = False, "", None, ""
    answers: list[Answer] = []
    try:
        for number, content in enumerate(lines):
            frame = _frame(content)
            if number == 0:
                ready, fault = frame == ["ready"], str(frame[1])[:300] if frame[0] == "fault" else ""
                if not ready:
                    break
            elif number == 1:
                program = _program(frame)
            elif len(answers) == steps or program is None or program[0] != "ok":
                raise ForgedError("more answers than calls")
            else:
                answers.append(_answer(frame))
    except ForgedError as error:
        forged = str(error)
    return Frames(ready, fault, program, tuple(answers), forged)


def _frame(content: bytes) -> list[Any]:
    try:
        frame = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ForgedError("not JSON") from error
    if type(frame) is not list or not frame:
        raise ForgedError("not a frame")
    return frame


def _program(frame: list[Any]) -> tuple[str, str]:
    if len(frame) != 3 or frame[0] != "p" or frame[1] not in ("ok", "syntax", "missing_name", "exception"):
        raise ForgedError("not a report on the program")
    return frame[1], _text(frame[2])


def _answer(frame: list[Any]) -> Answer:
    if frame[0] == "v" and len(frame) == 2:
        try:
            return Answer("v", Decoder().decode(frame[1]))
        except (ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
            raise ForgedError("a malformed value") from error
    if frame[0] == "x" and len(frame) == 2:
        return Answer("x", detail=_text(frame[1]))
    if frame[0] == "e" and len(frame) == 3 and frame[1] in ("missing_name", "exception"):
        return Answer(frame[1], detail=_text(frame[2]))
    raise ForgedError("not an answer")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ForgedError("not a text")
    return value[:200]


class Decoder:
    """Rebuilds one value; counts nodes over the whole value."""

    def __init__(self) -> None:
        self._nodes = 0

    def decode(self, part: Any, depth: int = 0) -> Any:
        """The value of a tagged tree.

        Raises:
            ForgedError: not a tree that the encoder writes.
        """
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ForgedError("a value too large or too deep")
        if part is None or type(part) in (bool, str, float):
            return part
        if type(part) is int:
            if part.bit_length() > MAX_INT_BITS:
                raise ForgedError("an integer too large")
            return part
        if type(part) is not list or not part or type(part[0]) is not str:
            raise ForgedError("no type tag")
        tag, rest = part[0], part[1:]
        if tag in ("i", "c", "b", "y", "r"):
            return _scalar(tag, rest)
        items = [self.decode(item, depth + 1) for item in rest]
        return _container(tag, items)


def _scalar(tag: str, rest: list[Any]) -> Any:
    kinds = [type(item) for item in rest]
    try:
        if tag == "i" and kinds == [str] and len(rest[0]) <= MAX_INT_BITS // 4 + 3:
            return int(rest[0], 16)
        if tag == "c" and kinds == [float, float]:
            return complex(*rest)
        if tag in ("b", "y") and kinds == [str]:
            raw = rest[0].encode("latin-1")
            return raw if tag == "b" else bytearray(raw)
        if tag == "r" and len(rest) == 3:
            return range(*[Decoder().decode(item) for item in rest])
    except (ValueError, TypeError) as error:
        raise ForgedError("a malformed value") from error
    raise ForgedError("a malformed value")


def _container(tag: str, items: list[Any]) -> Any:
    if tag == "l":
        return items
    if tag == "t":
        return tuple(items)
    if tag == "q":
        return collections.deque(items)
    if tag == "g":
        return iter(items)
    try:
        if tag == "s":
            return set(spread(items))
        if tag == "z":
            return frozenset(spread(items))
        if tag == "d" and len(items) % 2 == 0:
            return dict(zip(spread(items[::2]), items[1::2], strict=True))
    except TypeError as error:
        raise ForgedError("a key that cannot be hashed") from error
    raise ForgedError("an unknown type tag")


def spread(items: Iterable[Any]) -> Iterator[Any]:
    """The items, if their hashes are spread as honest values' are.

    Raises:
        ForgedError: hundreds of different items share one hash.
        TypeError: one cannot be hashed.
    """
    kept = list(items)
    if len(kept) <= _MOST_SHARING_A_HASH:
        return iter(kept)
    hashes = [hash(item) for item in kept]
    value, most = collections.Counter(hashes).most_common(1)[0]
    if most > _MOST_SHARING_A_HASH:
        # Equal items share a hash honestly, and so do a few unequal ones: -1 and -2.
        different: list[Any] = []
        for item, found in zip(kept, hashes, strict=True):
            if found == value and not any(item == other for other in different):
                different.append(item)
                if len(different) > _UNLIKE_SHARING_A_HASH:
                    raise ForgedError("values that share one hash")
    return iter(kept)
