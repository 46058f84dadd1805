"""Numbers as text: units, digits, intervals."""

import pytest

from codelab.book.formats import NBSP, digits, interval, literal, show


@pytest.mark.parametrize(
    ("value", "fmt", "unit", "text"),
    [
        (1_234_567_890, "", "bytes", "1.23 GB"),
        (269_030_400, "", "bytes", "269 MB"),
        (512, "", "bytes", "512 bytes"),
        (1_234_567_890, ".2f MB", "bytes", "1234.57 MB"),
        (0.0123, "", "s", "12.3 ms"),
        (59.9, "", "s", "59.9 s"),
        (600, "", "s", "10 min"),
        (9000, ".1f", "s", "2.5 h"),
        (0.1234, "", "share", "12.3 %"),
        (-0.0123, "+.2f points", "share", "−1.23 points"),
        (0.0123, "+.1f points", "share", "+1.2 points"),
        (1234.5, "", "tokens/s", "1,234 tokens/s"),
        (124_439_808, ".0f M", "", "124 M"),
        (2.345, ".1f×", None, "2.3×"),
        (2.5, ".1f x", "ratio", "2.5×"),
        (0.000012, "", None, "1.20e−05"),
        (3, "", None, "3"),
        (float("nan"), "", "s", "n/a"),
    ],
)
def test_show(value: float, fmt: str, unit: str | None, text: str) -> None:
    assert show(value, fmt, unit).replace(NBSP, " ") == text


def test_a_unit_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot show s as GB"):
        show(1.0, "GB", "s")


def test_text_and_unit_stay_on_one_line_and_are_markdown() -> None:
    text = show(1.0, "", "s")
    assert text == f"1{NBSP}s"
    assert text._repr_markdown_() == text


def test_digits() -> None:
    assert [digits(value) for value in (0, 1234567, 0.12345, 99.96, 12345.6)] == [
        "0", "1,234,567", "0.123", "100.0", "12,346",
    ]  # fmt: skip


def test_interval() -> None:
    assert interval(0.101, 0.142, "", "share").replace(NBSP, " ") == "10.1–14.2 %"
    assert interval(-0.01, 0.02, "+.1f points", "share").replace(NBSP, " ") == "−1.0 to +2.0 points"
    assert interval(0.01, 0.02, "+.1f points", "share").replace(NBSP, " ") == "+1.0 to +2.0 points"


def test_what_a_model_wrote_is_shown_as_it_is() -> None:
    import pypandoc

    text = "2. *a* _b_ `c` [d](e) <f> $g$ h^i^ ~j~ @k \\l --- 'm'\n\n# n"
    shown = literal(text)
    for target in ("html", "typst"):
        out = pypandoc.convert_text(f"| x |\n|---|\n| {shown} |\n", target, "markdown+smart")
        assert not any(mark in out for mark in ("<em>", "<code>", "<a ", "<sup>", "<ol", "#emph", "#link", "#cite"))
    plain = pypandoc.convert_text(shown, "plain", "markdown+smart", extra_args=["--wrap=none"])
    assert plain.strip().removeprefix("\N{WORD JOINER}") == " ".join(text.split())
