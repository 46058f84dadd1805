import io
import tokenize
from pathlib import Path

import numpy as np
import pytest

import codelab
from codelab.tasks.corpus.lexing import hash_tokens, lex, window_hashes

LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}


def reference(text: str) -> list[tuple[str, int]]:
    """Names, operators and numbers with their lines, by the standard library's lexer."""
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(one.string, one.start[0]) for one in found if one.type in {tokenize.NAME, tokenize.OP, tokenize.NUMBER}]


def comparable(pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    # Numbers with a signed exponent are split by the quick lexer, and f-strings are in Python 3.12 by the standard one.
    return [(token, line) for token, line in pairs if token.isidentifier()]


@pytest.mark.parametrize("path", sorted(Path(codelab.__file__).parent.rglob("*.py"))[:60], ids=lambda path: path.name)
def test_names_and_lines_are_those_of_the_standard_lexer(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if 'f"' in text or "f'" in text:
        text = "\n".join("" if 'f"' in line or "f'" in line else line for line in text.split("\n"))
    try:
        expected = comparable(reference(text))
    except (tokenize.TokenError, IndentationError):
        pytest.skip("not lexable once lines with f-strings are gone")
    lexed = lex(text)
    assert comparable(list(zip(lexed.tokens, lexed.lines, strict=True))) == expected


def test_comments_docstrings_quotes_and_layout_leave_no_trace() -> None:
    plain = "def f(a, b):\n    return {'x': a + b}\n"
    dressed = (
        '"""Module."""\n# remark\ndef f(a,\n      b):  # remark\n    """Says so.\n\n    # not code\n    """\n'
        '    return {\n        "x":  a + \\\n b\n    }\n'
    )
    assert lex(plain).tokens == lex(dressed).tokens


def test_a_string_that_is_a_value_stays() -> None:
    assert lex("x = 'a'\nf('''b''')\nreturn 'c'\n").tokens == ["x", "=", "'a'", "f", "(", "'b'", ")", "return", "'c'"]
    assert lex("x = [\n'a',\n'b'\n]\n").tokens == ["x", "=", "[", "'a'", ",", "'b'", "]"]
    assert lex("'a'.join(x)\n").tokens == ["'a'", ".", "join", "(", "x", ")"]


def test_prefixes_and_escapes() -> None:
    assert lex(r"x = rb'\'' + f'{y}'" + "\n").tokens == ["x", "=", r"'\''", "+", "'{y}'"]


def test_literals_are_measured() -> None:
    lexed = lex("x = 'abcd' + 12345\n")
    assert (lexed.literal, lexed.longest) == (11, 6)


def test_windows_are_equal_where_tokens_are() -> None:
    hashes = window_hashes(hash_tokens(list("abcxabcyab")), 3)
    assert len(hashes) == 8
    assert hashes[0] == hashes[4]
    assert len(np.unique(hashes)) == 7
    assert len(window_hashes(hash_tokens(["a"]), 2)) == 0


@pytest.mark.parametrize("text", ["'''open", '"open\n', "\\", "§$%", "f(((", "", "0x"])
def test_odd_text_does_not_fail(text: str) -> None:
    lexed = lex(text)
    assert len(lexed.tokens) == len(lexed.lines)
