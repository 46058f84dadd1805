"""Paragraphs out of each format, and which of them are prose."""

import struct
import zlib

import pytest

from codelab.tasks.general import extract, prose

SENTENCE = "The window is opened again when you press the button that is on the left of the panel."


def test_html_keeps_paragraphs_and_drops_code_and_menus() -> None:
    page = f"""<html><head><title>No</title></head><body><nav>Home</nav><h1>No</h1>
    <p>One   <b>two</b> <code>three</code>.</p><pre>x = 1</pre><table><tr><td>cell</td></tr></table>
    <ul><li>{SENTENCE}</ul><p>Last</body></html>"""
    assert list(extract.html(page.encode())) == [("", ["One two three.", SENTENCE, "Last"])]


def test_html_that_does_not_close_its_dropped_parts_in_order_goes_on() -> None:
    page = b"<body><div><pre><b>code</pre></b><p>After.</p></div>"
    assert list(extract.html(page)) == [("", ["After."])]


def test_pod_drops_commands_and_code_and_unwraps_marks() -> None:
    text = b"=head1 NAME\n\nSee L<the manual|perlfunc> and C<< my $x >> for B<I<more>>.\n\n    code()\n\nEnd.\n"
    assert list(extract.pod(text)) == [("", ["See the manual and my $x for more.", "End."])]


def test_rst_drops_directives_headings_and_code() -> None:
    text = b"Title\n=====\n\n- Use :ref:`the guide <guide>` for ``this``.\n\n.. note:: no\n\n   code\n\nPlain\ntext.\n"
    assert list(extract.rst(text)) == [("", ["Use the guide for this.", "Plain text."])]


def test_entries_are_documents() -> None:
    text = b"header\n\nfirst\n\n   <maths> A {thing} of\n   two lines.\n\nsecond\n\n   Another.\n"
    assert list(extract.entries(text)) == [("first", ["A thing of two lines."]), ("second", ["Another."])]


def _novel(lines: list[str]) -> bytes:
    body = b"".join(struct.pack(">Ii", 0x40009, len(line)) + line.encode() for line in lines)
    head = b"X\n" + struct.pack(">III", 3, 0x40201, 0x30500) + struct.pack(">I", 5) + b"UTF-8"
    raw = head + struct.pack(">II", 16, len(lines)) + body
    return struct.pack(">I", len(raw)) + zlib.compress(raw)


def test_novels_are_cut_into_chapters() -> None:
    one = _novel(["EMMA", "", "CHAPTER I", "", "She was", "clever.", "", "CHAPTER II", "", "He _was_ not."])
    two = _novel(["PERSUASION", "", "Chapter 1", "", "Sir Walter."])
    assert list(extract.novels(one + two)) == [
        ("Emma/0", ["EMMA"]), ("Emma/1", ["She was clever."]), ("Emma/2", ["He was not."]),
        ("Persuasion/0", ["PERSUASION"]), ("Persuasion/1", ["Sir Walter."]),
    ]  # fmt: skip


def test_a_country_without_a_capital_does_not_borrow_the_next_one() -> None:
    text = """<division><name>Frontier</name></division><division><name>Chad</name><flag>x</flag>
    <capital>N'Djamena</capital></division><division><name>X (y)</name><capital>Z</capital></division>"""
    assert extract.capitals(text.encode()) == [("Chad", "N'Djamena")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SENTENCE, True),
        (SENTENCE.rstrip("."), False),
        ("Too short to be kept.", False),
        ("if (x == 1) { return foo(bar[0]->baz, &qux); } else { y = x * 2; z += 1; } // and so on.", False),
        ("Das Fenster wird wieder geöffnet, wenn Sie auf den Knopf drücken, der sich links befindet.", False),
        (f"{SENTENCE} See /usr/share/doc/package/examples/configuration.", False),
    ],
)
def test_prose(text: str, expected: bool) -> None:
    assert prose.is_prose(text) is expected


def test_windows_ignore_case_and_punctuation_and_tell_texts_apart() -> None:
    assert set(prose.windows(SENTENCE)) == set(prose.windows(SENTENCE.upper().replace(" ", ", ")))
    assert not set(prose.windows(SENTENCE)) & set(prose.windows(SENTENCE.replace("button", "key")))
    assert len(prose.windows(SENTENCE)) == len(SENTENCE.split()) - prose.WINDOW + 1
