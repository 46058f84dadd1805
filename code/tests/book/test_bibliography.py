"""Reading BibTeX and saying what an entry lacks."""

from pathlib import Path

import pytest

from codelab.book.bibliography import incomplete, read_entries
from codelab.errors import UserError

GOOD = """% a comment with @article{no, }
@article{good2020paper,
  author = {A, B and C, D}, title = "A {Nested {Title}}",
  journal = {J},
  year = 2020,
  doi = {10.1000/x.1},
}
"""


def entries(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "r.bib"
    path.write_text(text, encoding="utf-8")
    return incomplete(read_entries(path))


def test_a_complete_entry(tmp_path: Path) -> None:
    assert entries(tmp_path, GOOD) == []
    entry = read_entries(tmp_path / "r.bib")[0]
    assert (entry.key, entry.kind, entry.fields["title"]) == ("good2020paper", "article", "A {Nested {Title}}")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("author = {A, B and C, D}", "author = {}", "no author"),
        ("journal = {J}", "volume = {1}", "no venue"),
        ("doi = {10.1000/x.1}", "url = {https://example.org}", "no doi or eprint"),
        ("year = 2020", "year = {soon}", "year 'soon'"),
        ("10.1000/x.1", "https://doi.org/10.1000/x.1", "not of the form"),
    ],
)
def test_what_is_missing(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert any(fault in found for found in entries(tmp_path, GOOD.replace(old, new)))


def test_software_may_have_an_address_instead(tmp_path: Path) -> None:
    text = GOOD.replace("@article", "@misc", 2).replace("doi = {10.1000/x.1}", "url = {https://example.org}")
    assert entries(tmp_path, text.replace("journal", "howpublished")) == []


def test_twice_and_broken(tmp_path: Path) -> None:
    assert any("appears twice" in found for found in entries(tmp_path, GOOD + GOOD))
    for broken in (GOOD.replace("journal = {J}", "journal = {J"), GOOD.replace("{J},", "{J}")):
        with pytest.raises(UserError, match="good2020paper"):
            entries(tmp_path, broken)
    with pytest.raises(UserError, match="cannot be read"):
        read_entries(tmp_path / "none.bib")
