"""The filter that gives columns their widths, run by Pandoc itself."""

import json

import pypandoc
import pytest

from .conftest import REPOSITORY

LONG = "a sentence of many small words that says what stands in this cell and why it is so long as it is " * 3


def widths(head: list[str], *rows: list[str]) -> list[float]:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    arguments = [f"--lua-filter={REPOSITORY / 'assets/filters/tables.lua'}", "--columns=20"]
    tree = json.loads(pypandoc.convert_text("\n".join(lines), "json", format="markdown", extra_args=arguments))
    (table,) = [block for block in tree["blocks"] if block["t"] == "Table"]
    return [column[1]["c"] for column in table["c"][2]]


def test_widths_sum_to_the_line() -> None:
    assert sum(widths(["One", "Two"], ["word", LONG])) == pytest.approx(1)


def test_what_fits_on_a_line_has_room_for_it() -> None:
    narrow, wide = widths(["Name", "What it is"], ["a", "8-bit, threshold 6"])
    assert wide / narrow == pytest.approx((18 + 3) / (4 * 1.25 + 3))


def test_no_column_is_narrower_than_its_longest_word() -> None:
    words = ["Instructions", "Temperature", "interpolation", "x", "y"]
    found = widths(words, ["a", "b", "c", LONG, LONG])
    for word, share in zip(words[:3], found, strict=False):
        assert share * 96 >= len(word) * 1.25 + 3 - 1e-9
    assert found[3] == found[4]
    assert found[3] * 96 == pytest.approx((96 - sum(found[:3]) * 96) / 2), "the rest goes where the text is long"


def test_a_head_breaks_before_the_name_of_a_row() -> None:
    head = ["Model", "One two (%)", "Interval", "One two (%)", "Interval", "One two (%)", "Interval", "One two (%)"]
    name, *others = found = widths(head, ["x" * 20, "1.0", "0.5–1.5", "1.0", "0.5–1.5", "1.0", "0.5–1.5", "1.0"])
    assert sum(found) == pytest.approx(1)
    assert name * 96 >= 20 + 3, "on one line"
    assert others[1] * 96 >= 8 * 1.25 + 3, "a head of one word stays whole"
    assert others[0] * 96 < 11 * 1.25 + 3, "a head of several words breaks"


def test_a_short_column_takes_no_more_than_it_needs() -> None:
    found = widths(["Name", "Gain", "Beside"], ["no remedy", "1.00 ± 0.05", LONG * 3])
    assert found[:2] == pytest.approx([(9 + 3) / 96, (11 + 3) / 96])


def test_more_words_than_room_share_what_there_is() -> None:
    head = [f"Word{'o' * 16}{number}" for number in range(8)]
    found = widths(head, [LONG, *["b"] * 7])
    assert sum(found) == pytest.approx(1)
    assert max(found) == pytest.approx(min(found), rel=0.01)
