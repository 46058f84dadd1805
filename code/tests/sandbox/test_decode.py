"""Values survive the wire with their exact types; what the encoder would not have written is refused."""

import collections
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codelab.sandbox.decode import Decoder, ForgedError, frames
from codelab.sandbox.guest import encode

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.integers(min_value=-(1 << 300), max_value=1 << 300)
    | st.floats(allow_nan=False) | st.text() | st.binary() | st.complex_numbers(allow_nan=False)
)  # fmt: skip
KEYS = st.integers() | st.text() | st.booleans() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner) | st.sets(KEYS)
        | st.frozensets(KEYS) | st.lists(inner).map(collections.deque)
    ),
    max_leaves=20,
)  # fmt: skip


def over_the_wire(value: Any) -> Any:
    kind, payload = json.loads(encode.answer(value))
    assert kind == "v"
    return Decoder().decode(payload)


def same(left: Any, right: Any) -> bool:
    """Equal, with equal types all the way down."""
    if type(left) is not type(right) or left != right:
        return False
    if isinstance(left, list | tuple | collections.deque):
        return all(map(same, left, right))
    if isinstance(left, dict):
        return all(same(a, b) for a, b in zip(left.items(), right.items(), strict=True))
    return True


@given(VALUES)
@settings(deadline=None, max_examples=200, derandomize=True)
def test_values_survive(value: Any) -> None:
    assert same(value, over_the_wire(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(int, a=1), {"a": 1}),
        (range(1, 9, 2), range(1, 9, 2)),
        (bytearray(b"\xff"), bytearray(b"\xff")),
        ("\ud800\0\n", "\ud800\0\n"),
    ],
)
def test_documented_conversions(value: Any, expected: Any) -> None:
    assert same(over_the_wire(value), expected)


def test_an_iterator_is_not_a_list_but_can_be_made_one() -> None:
    value = over_the_wire(map(abs, [-1, 2]))
    assert value != [1, 2]
    assert list(value) == [1, 2]


class Text(str):
    """A subclass, as a program might return."""

    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [object(), Text("a"), [Text("a")], {1: Text("a")}, type, len, 1 << 300_000, [0] * 200_000, Exception("4")],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_is_named_and_not_sent(value: Any) -> None:
    kind, reason = json.loads(encode.answer(value))
    assert kind == "x"
    assert isinstance(reason, str)


@pytest.mark.parametrize(
    "payload",
    [
        [], ["?", 1], ["d", 1], ["d", ["l"], 1], ["s", ["l"]], ["i", "12 34"], ["i", 5], ["c", 1, 2], ["b", "\u0100"],
        {"v": 1}, [1, 2], ["r", 1, 2, 0], ["r", "a", 1, 1], ["s", *[["i", hex(i * (2**61 - 1))] for i in range(300)]],
        ["l", *[0] * 200_000], ["i", "f" * 100_000], 1 << 300_000,
    ],
    ids=lambda payload: json.dumps(payload)[:20] if isinstance(payload, list) else type(payload).__name__,
)  # fmt: skip
def test_forged_values_are_refused(payload: Any) -> None:
    with pytest.raises(ForgedError):
        Decoder().decode(payload)


def test_depth_is_limited_both_ways() -> None:
    deep: Any = []
    for _ in range(500):
        deep = ["l", deep]
    with pytest.raises(ForgedError):
        Decoder().decode(deep)


READY, OK = b'["ready"]\n', b'["p", "ok", ""]\n'


@pytest.mark.parametrize(
    "output",
    [
        READY + b"no\n",
        READY + OK + b"no\n",
        READY + OK + b"[]\n",
        READY + OK + b'["v"]\n',
        READY + OK + b'["v", 1]\n' * 3,
        READY + OK + b'["e", "none", ""]\n',
        READY + OK + b'["x", 1]\n',
        READY + b'["p", "passed", ""]\n',
        READY + b'["p", "syntax", ""]\n["v", 1]\n',
        READY + OK + b"[" * 100_000 + b"\n",
        READY + OK + b'["v", ' + b"9" * 10_000 + b"]\n",
    ],
)
def test_forged_frames_are_noticed(output: bytes) -> None:
    assert frames(output, 2).forged


def test_a_fault_counts_only_before_the_program_was_read() -> None:
    assert frames(b'["fault", "no memory"]\n', 1).fault == "no memory"
    late = frames(READY + b'["fault", "no memory"]\n', 1)
    assert not late.fault
    assert late.forged


@given(st.binary(max_size=300))
@settings(deadline=None, max_examples=300, derandomize=True)
def test_no_output_breaks_the_parent(noise: bytes) -> None:
    for output in (noise, READY + noise, READY + OK + noise):
        assert len(frames(output, 2).answers) <= 2
