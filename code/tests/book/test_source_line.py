"""The filters for Typst and Word know the line that names a record, wherever Pandoc is called from."""

from pathlib import Path

import pypandoc
import pytest

from .conftest import REPOSITORY

FLOAT = """Div ("", [], [("__quarto_custom_type", "FloatRefTarget")]) [Para [Image ("", [], []) [] ("f.svg", "")]]"""
LINES = [
    ("Record `r`, run `1`, commit `abc`.", True),
    ("Records `r` and `s`, commit `abc`.", True),
    ("Record `r`, run `1`.", False),
    ("A record, commit `abc`.", False),
]


def filtered(name: str, native: str, to: str) -> str:
    arguments = [f"--lua-filter={REPOSITORY / 'assets/filters' / name}", "--wrap=none"]
    return pypandoc.convert_text(native, to, format="native", extra_args=arguments)


def paragraph(line: str) -> str:
    return pypandoc.convert_text(line, "native", format="markdown").strip().removeprefix("[").removesuffix("]")


@pytest.mark.parametrize(("line", "named"), LINES)
def test_a_figure_floats_with_the_line_that_names_its_record(
    line: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ("#floating[" in filtered("typst.lua", f"[{FLOAT}, {paragraph(line)}]", "typst")) is named


@pytest.mark.parametrize(("line", "named"), LINES)
def test_the_line_that_names_a_record_is_a_note_in_word(
    line: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ('custom-style="Source Note"' in filtered("word-floats.lua", f"[{paragraph(line)}]", "html")) is named
