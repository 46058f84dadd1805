"""Measured figures and tables say which record they show; drawings and tables over all records need not."""

from pathlib import Path

import pytest

from codelab.book.project import Chapter, read_book
from codelab.book.sources import faults

ROOT = Path(__file__).resolve().parents[3]
SETUP = '```{python}\nrun = facts.latest("q0")\nrows = worked.rows(run)\nall_runs = facts.history()\n```\n\n'


def chapter(folder: Path, text: str) -> Chapter:
    (folder / "c.qmd").write_text(SETUP + text)
    return Chapter(folder, "c.qmd", "1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('```{python}\n#| label: tbl-a\ntables.show(run.frame("t"))\n```\n', "cell tbl-a shows a record"),
        ("```{python}\n#| label: tbl-a\ntables.show(rows)\n```\n", "cell tbl-a shows a record"),
        ("```{python}\n#| label: fig-a\nfigures.bars(rows)\n```\n\nText.\n", "cell fig-a shows a record"),
        ("```{python}\n#| label: fig-a\nfigures.bars(rows)\n```\n", "cell fig-a shows a record"),
        ('```{python}\n#| label: fig-a\nfigures.bars(facts.latest("q1").frame("t"))\n```\n', "cell fig-a shows"),
        ('```{python}\n#| label: fig-a\nfigures.bars(facts.stopped("q1").frame("t"))\n```\n', "cell fig-a shows"),
    ],
)
def test_a_source_is_missing(tmp_path: Path, text: str, said: str) -> None:
    found = list(faults(chapter(tmp_path, text)))
    assert [line for line, _ in found] == [SETUP.count("\n") + 1]
    assert said in found[0][1]


@pytest.mark.parametrize(
    "text",
    [
        "```{python}\n#| label: tbl-a\ntables.show(rows, note=run.provenance())\n```\n",
        "```{python}\n#| label: fig-a\nfigures.bars(rows)\n```\n\n`{python} run.provenance()`\n",
        "```{python}\n#| label: tbl-a\ntables.show(rows, note=facts.provenance(run, other))\n```\n",
        "```{python}\n#| label: fig-a\nfigures.bars(rows)\n```\n\n`{python} facts.provenance(run, other)`\n",
        "```{python}\n#| label: tbl-a\ntables.show(runs.log(all_runs))\n```\n",
        "```{python}\n#| label: tbl-a\ntables.show(worked.memory(7))\n```\n",
        "```{python}\n#| label: q0-text\nrows\n```\n",
    ],
)
def test_a_source_is_there_or_not_needed(tmp_path: Path, text: str) -> None:
    assert list(faults(chapter(tmp_path, text))) == []


def test_every_measured_figure_and_table_of_the_book_says_its_record() -> None:
    found = [f"{each.path}:{line}: {what}" for each in read_book(ROOT).chapters for line, what in faults(each)]
    assert found == []
