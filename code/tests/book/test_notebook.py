"""How a chapter's cells are arranged in its notebook; executing it is tested with the submission."""

from codelab.book.notebook import assemble, cells
from codelab.book.render.notebook import Prose

from .conftest import Edit

HIDDEN = "```{python}\n#| label: q2-claims\n#| include: false\nclaims = 1\n```\n\n# Numbers"


def test_hidden_cells_are_folded_and_checks_come_last(edit: Edit) -> None:
    book = edit("chapters/02-numbers.qmd", "# Numbers", HIDDEN)
    chapter = book.chapters[2]
    shown = [cell for cell in cells(chapter) if not cell.hidden]
    made = assemble(book, chapter, Prose("Numbers", [f"piece {place}" for place in range(len(shown) + 1)])).cells
    code = [cell for cell in made if cell.cell_type == "code"]
    setup, *middle, checks = code[1:]
    assert "book.setup()" in setup.source
    assert checks.source == "claims = 1"
    assert checks is made[-1]
    assert made[-2].source.startswith("## Checks")
    for cell in (setup, checks):
        assert (cell.metadata["jupyter"], cell.metadata["cellView"]) == ({"source_hidden": True}, "form")
    assert [cell.source for cell in middle] == [cell.code for cell in shown]
    assert not any("jupyter" in cell.metadata for cell in middle)


def test_a_chapter_without_checks_gets_no_heading_for_them(edit: Edit) -> None:
    book = edit("chapters/02-numbers.qmd", "printed", "printed")
    chapter = book.chapters[2]
    shown = sum(not cell.hidden for cell in cells(chapter))
    made = assemble(book, chapter, Prose("Numbers", ["piece"] * (shown + 1))).cells
    assert not any(cell.source.startswith("## Checks") for cell in made)
