"""The lints on good and on bad samples: each rule fires on what it forbids and on nothing in the fixture."""

from collections.abc import Callable
from pathlib import Path

import pytest

from codelab.book import lint
from codelab.book.project import Book, Chapter

Edit = Callable[[str, str, str], Book]


def chapter(tmp_path: Path, text: str, number: str = "7") -> Chapter:
    (tmp_path / "chapters").mkdir(exist_ok=True)
    (tmp_path / "chapters/a.qmd").write_text(text, encoding="utf-8")
    return Chapter(tmp_path, "chapters/a.qmd", number=number)


def test_the_fixture_is_clean(fixture_book: Book) -> None:
    assert lint.lint(fixture_book) == []


@pytest.mark.parametrize(
    "text",
    [
        "Loading took 3.2 s.",
        "Speed fell to 1,234 tokens/s.",
        "It needs 1.5 GB.",
        "That is 40 % less.",
        "It is 2.3× slower.",
        "It ran for 12 minutes.",
        "A gain of 3 percentage points.",
        "KL is 0.02 nats.",
    ],
)
def test_typed_numbers(tmp_path: Path, text: str) -> None:
    assert len(list(lint.numbers(chapter(tmp_path, f"# T\n\n{text}\n")))) == 1
    assert not list(lint.numbers(chapter(tmp_path, f"# T\n\n{text}\n", number="3"))), "essays may calculate"
    for elsewhere in ("", "A"):  # the overview, an appendix
        assert list(lint.numbers(chapter(tmp_path, f"# T\n\n{text}\n", number=elsewhere)))


@pytest.mark.parametrize(
    "text",
    [
        'Loading took `{python} run.value("load")`.',
        "The paper reports 24 × [@kwon2023vllm].",
        "The device has [80 GB]{.given}.",
        "In 4-bit and 8-bit, at batch 32, with seed 0.",
        "Weights of SmolLM2-135M in chapter 7.",
        "See @fig-q7-2s and `sleep 3 s`.",
        "With $p = 5 %$ in a formula.",
        "| 3 s | in a table from elsewhere |",
    ],
)
def test_numbers_that_may_stand(tmp_path: Path, text: str) -> None:
    assert not list(lint.numbers(chapter(tmp_path, f"# T\n\n{text}\n")))


@pytest.mark.parametrize(
    "text",
    ["One sentence. Another one.", "Is it? Yes.", "A line that\ngoes on here.", "Ends in `code`. Then more."],
)
def test_sentences(tmp_path: Path, text: str) -> None:
    assert len(list(lint.sentences(chapter(tmp_path, f"# T\n\n{text}\n")))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Hu et al. Propose it, e.g. Adapters, cf. Section 2.",
        "1. First step.",
        "*Rank.* The update has a rank.",
        "So says the paper [see @a, sec. 2. And more].",
        "The loss is\n$$\na. B\n$$\nwhere it ends.",
        "Line one.\nline two.",
    ],
)
def test_sentences_that_may_stand(tmp_path: Path, text: str) -> None:
    assert not list(lint.sentences(chapter(tmp_path, f"# T\n\n{text}\n")))


def test_options_captions_and_inline_code(tmp_path: Path) -> None:
    cell = "# T\n\n```{python}\n%s\n```\n"
    found = list(lint.cells(chapter(tmp_path, cell % "import a\n#| label: fig-x")))
    assert found == [(5, "`#|` below the first line of code is ignored")]
    found = list(lint.cells(chapter(tmp_path, cell % "#| label: fig-x\n#| fig-cap: A\nplot()")))
    assert found == [(3, "cell fig-x has no fig-alt")]
    found = list(lint.cells(chapter(tmp_path, cell % "#| tbl-cap: A\nshow()")))
    assert found == [(3, "a cell with tbl-cap needs a label that starts with tbl-")]
    assert not list(lint.cells(chapter(tmp_path, cell % '#| label: tbl-x\n#| tbl-cap: "A"\n\nshow()')))
    assert "never executed" in next(iter(lint.cells(chapter(tmp_path, "# T\n\nIt is `{python} 1`.\n"))))[1]


def test_definitions(tmp_path: Path) -> None:
    for code in ("def f():\n    pass", "class A:\n    pass", "if True:\n    async def f(): pass"):
        assert (
            "move it to the package"
            in next(iter(lint.definitions(chapter(tmp_path, f"```{{python}}\n{code}\n```\n"))))[1]
        )
    assert "not Python" in next(iter(lint.definitions(chapter(tmp_path, "```{python}\nx = = 1\n```\n"))))[1]
    assert not list(lint.definitions(chapter(tmp_path, "```python\ndef shown(): pass\n```\n")))


def test_figures_and_tables(tmp_path: Path) -> None:
    faults = [what for _, what in lint.figures(chapter(tmp_path, "![](../figures/none.svg)\n"))]
    assert len(faults) == 4
    for fault, word in zip(faults, ("caption", "id", "fig-alt", "exist"), strict=True):
        assert word in fault
    bare = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert len(list(lint.tables(chapter(tmp_path, bare)))) == 1
    assert not list(lint.tables(chapter(tmp_path, f"{bare}\n: Caption. {{#tbl-q1-a}}\n")))


def test_size(tmp_path: Path) -> None:
    assert not list(lint.size(chapter(tmp_path, "a" * lint.LIMIT)))
    assert list(lint.size(chapter(tmp_path, "a" * (lint.LIMIT + 1))))


def test_references_and_citations(edit: Edit) -> None:
    found = edit("chapters/01-essay.qmd", "See @fig-q1-line", "See @fig-q1-nothing and @nobody2020nothing")
    faults = lint.lint(found)
    assert any("@fig-q1-nothing leads nowhere" in fault for fault in faults)
    assert any("@nobody2020nothing is not in the bibliography" in fault for fault in faults)
    found = edit("references.bib", "doi = {10.1000/fixture.1}", "note = {none}")
    assert "references.bib: fixture2020first: no doi or eprint" in lint.lint(found)
