"""Which texts tell enough: one case a reason."""

import pytest

from codelab.tasks.tested.wording import unfit, vague


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Give the number that follows x.", ""),
        ("Give the sum of *x* and `1`, as (1 + 2) would.", ""),
        ("Count what x holds by twos.", ""),
        ("Next number please.", "text: too short"),
        ("Give the request that follows in the session.", "text: terms of a project"),
        ("Give the number that NodeList has after x.", "text: names that only its project knows"),
        ("Give the number of `some_table` after x.", "text: names that only its project knows"),
        ("Give the RFC and DNS number of x.", "text: abbreviations"),
        ("Give the number that follows, such as:", "text: goes on elsewhere"),
        ("Give the appropriate number for x.", "text: says too little"),
        ("Expect a number and go on.", "text: says too little"),
        ("Decide whether to include a page.", "text: names no data"),
        ("Find a number in a rotated list.", "text: arguments of a kind that is not proposed"),
        ("Give the pairs of a .avr header.", "text: names that only its project knows"),
    ],
)
def test_reasons(text: str, reason: str) -> None:
    assert unfit(text, "f", {"x"}) == reason


@pytest.mark.parametrize(
    ("text", "required", "expected"),
    [
        ("Check whether the host is a dotted address.", ["host"], True),  # no data is named
        ("Check whether the host is a dotted string.", ["host"], False),
        ("Cut the suffix from the string if it is there.", ["s", "suffix"], False),
        ("Extract the duration characters of a token.", ["event"], True),
        ("Convert the key to a tuple if necessary.", ["key"], True),
        ("This gives a list of strings.", ["n"], True),
        ("List the words.", ["words"], True),
    ],
)
def test_a_librarys_function_must_be_told_better(text: str, required: list[str], expected: bool) -> None:
    assert vague(text, required) is expected
