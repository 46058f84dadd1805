"""The filter that keeps a number and its unit on one line, run by Pandoc itself."""

import pypandoc
import pytest

from .conftest import REPOSITORY

NBSP = "\N{NO-BREAK SPACE}"


def plain(text: str) -> str:
    arguments = [f"--lua-filter={REPOSITORY / 'assets/filters/units.lua'}", "--wrap=none"]
    return pypandoc.convert_text(text, "plain", format="markdown", extra_args=arguments).strip()


@pytest.mark.parametrize("unit", ["%", "%,", "B", "GB", "M"])
def test_a_number_keeps_its_unit(unit: str) -> None:
    assert plain(f"with 5 {unit} of it") == f"with 5{NBSP}{unit} of it"


@pytest.mark.parametrize("text", ["5 Boats", "five % of", "step 5 Models", "in 5 steps", "a 5", "5"])
def test_other_words_stay_as_they_are(text: str) -> None:
    assert plain(text) == text
