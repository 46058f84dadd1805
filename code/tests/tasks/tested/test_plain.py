import pytest

from codelab.tasks.tested.plain import NotPlainError, answer, line, literal


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (-3, "-3"),
        (2.5, "2.5"),
        (1e-07, "1e-07"),
        ("a'b\n", '"a\'b\\n"'),
        ([1, [2]], "[1, [2]]"),
        ((1,), "(1,)"),
        ((), "()"),
        (set(), "set()"),
        ({"b", "a"}, "{'a', 'b'}"),
        ({1, "a"}, "{'a', 1}"),
        ({"b": 1, "a": {2}}, "{'b': 1, 'a': {2}}"),
    ],
)
def test_a_plain_value_has_one_spelling(value: object, text: str) -> None:
    assert literal(value) == answer(value) == text


@pytest.mark.parametrize(
    "value",
    [
        b"x", 1j, object(), len, range(3), iter([1]),
        float("inf"), float("nan"), -0.0, 0.1 + 0.2, 123456789.5, [1 / 3],
        {frozenset({1})}, "naïve", "\x00", 1 << 5000, [0] * 500, "x" * 81, {"k": (object(),)},
    ],
)  # fmt: skip
def test_what_a_test_should_not_compare_with_is_refused(value: object) -> None:
    with pytest.raises(NotPlainError):
        answer(value)


def test_arguments_may_be_longer_than_answers() -> None:
    assert literal("x" * 100) == repr("x" * 100)


def test_line() -> None:
    assert line("f(1)", "[2]") == "assert f(1) == [2]"
