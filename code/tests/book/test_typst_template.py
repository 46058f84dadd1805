"""The template of the PDF on small documents: what floats, what stays with what follows."""

from pathlib import Path

import pytest
import typst
from pypdf import PdfReader

TEMPLATE = Path(__file__).parents[3] / "assets/typst/typst-template.typ"
SOURCE = 'Record #link("results/a/record.json")[`a`], commit `2222222222`, A processor, 2026-11-01.'


def pages(tmp_path: Path, body: str) -> list[str]:
    """Texts of the pages that a body makes; the first holds the title."""
    (tmp_path / "template.typ").write_bytes(TEMPLATE.read_bytes())
    head = '#import "template.typ": *\n#set page(paper: "us-letter", margin: 1.2in)\n#show: paper.with(title: [T])\n'
    (tmp_path / "a.typ").write_text(head + body, encoding="utf-8")
    typst.compile(str(tmp_path / "a.typ"), output=str(tmp_path / "a.pdf"), ignore_system_fonts=True)
    return [page.extract_text() for page in PdfReader(tmp_path / "a.pdf").pages]


def filled(height: int) -> str:
    return f"#block(height: {height}pt)[first]\n\n"


def figure(height: int) -> str:
    made = f'#figure(rect(height: {height}pt), kind: "quarto-float-fig", supplement: [Figure], caption: [Big.]) <fig-a>'
    return f"#floating[\n{made}\n\n{SOURCE}\n\n]\n\n"


def test_text_fills_the_page_that_a_figure_does_not_fit(tmp_path: Path) -> None:
    first, second = pages(tmp_path, filled(250) + figure(350) + "after the figure")
    assert "after the figure" in first
    assert "Big." in second
    assert "Record" in second, "the line that names the record goes with its figure"


def test_a_short_measured_table_floats_too(tmp_path: Path) -> None:
    rows = "".join(f"[{number}], " for number in range(30))
    table = f"#figure([#table(columns: 2, {rows})\n{SOURCE}\n], "
    table += 'kind: "quarto-float-tbl", supplement: [Table], caption: [Numbers.]) <tbl-a>\n\n'
    first, second = pages(tmp_path, filled(330) + table + "after the table")
    assert "after the table" in first
    assert "Numbers." in second


@pytest.mark.parametrize(("line", "page"), [("Task 1, passes:", 1), ("Task 1 passes.", 0)])
def test_a_line_that_leads_on_stays_with_what_follows(tmp_path: Path, line: str, page: int) -> None:
    code = "```python\n" + "x = 1\n" * 2 + "```\n"
    found = pages(tmp_path, filled(485) + f"{line}\n\n#block(breakable: false)[\n{code}]\n")
    assert [line in text for text in found] == [at == page for at in range(len(found))], found
