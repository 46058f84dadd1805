"""What is handed in: every file is opened by another library, checked as the book is, and the same twice."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docx
import nbformat
import pytest
from nbclient import NotebookClient
from pypdf import PdfReader
from typer.testing import CliRunner

from codelab.book.inspect import inspect_pdf
from codelab.book.inspect_notebook import inspect_notebook
from codelab.book.inspect_word import inspect_word
from codelab.book.notebook import assemble, outputs, write_notebooks
from codelab.book.project import Book, read_book
from codelab.book.render.notebook import Prose, prose
from codelab.book.render.word import write_word
from codelab.book.submission import build_submission, essays, files, look
from codelab.cli import verbs  # noqa: F401 - registers the verbs
from codelab.cli.app import app
from codelab.errors import UserError
from codelab.records import sha256_file

Edit = Callable[[str, str, str], Book]
NAMES = ["essays.docx", "essays.pdf", "exam.pdf", "question-02.ipynb"]
NBSP = "\N{NO-BREAK SPACE}"
TITLE = f"A Fixture Book: question{NBSP}1"


@pytest.fixture(scope="module")
def made(fixture_book: Book, tmp_path_factory: pytest.TempPathFactory) -> Book:
    """A book with its submission."""
    root = tmp_path_factory.mktemp("submission") / "book"
    shutil.copytree(fixture_book.root, root)
    book = read_book(root)
    build_submission(book)
    return book


@pytest.fixture
def copy(made: Book, tmp_path: Path) -> Book:
    """The same, to spoil."""
    shutil.copytree(made.root, tmp_path / "book")
    return read_book(tmp_path / "book")


def folder(book: Book) -> Path:
    return book.root / "submission"


def notebook(book: Book) -> Any:
    return nbformat.read(folder(book) / "question-02.ipynb", as_version=4)


def test_all_files_are_there_and_without_fault(made: Book) -> None:
    assert files(made) == NAMES
    assert sorted(path.name for path in folder(made).iterdir()) == sorted([*NAMES, "submission.zip"])
    assert look(made, folder(made)) == []
    assert not list(made.root.glob(".submission-*"))


def test_building_again_gives_the_same_bytes(made: Book, tmp_path: Path) -> None:
    root = tmp_path / "elsewhere" / "book"  # neither the place nor the time may show
    shutil.copytree(made.root, root, ignore=shutil.ignore_patterns("submission"))
    build_submission(read_book(root))
    for name in [*NAMES, "submission.zip"]:
        assert sha256_file(root / "submission" / name) == sha256_file(folder(made) / name), name


def test_the_archive_holds_the_files(made: Book) -> None:
    with zipfile.ZipFile(folder(made) / "submission.zip") as archive:
        assert archive.namelist() == NAMES
        assert archive.testzip() is None
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        for name in NAMES:
            assert archive.read(name) == (folder(made) / name).read_bytes()


def test_the_essays_are_a_document_of_their_own(made: Book) -> None:
    extract, path = essays(made), folder(made) / "essays.pdf"
    assert [chapter.path for chapter in extract.chapters] == ["chapters/01-essay.qmd", "references.qmd"]
    assert inspect_pdf(extract, path) == []
    reader = PdfReader(path)
    assert reader.metadata is not None
    assert (reader.metadata.title, reader.metadata.author) == (TITLE, "Test Author")
    assert reader.metadata.subject == "What is a fixture, and when does it help?", "its own, not the book's"
    text = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    assert "Numbers from a record" not in text, "question 2 is another file"
    assert "Chapter 2 and Figure 2.1" in text.replace(NBSP, " "), "but is named as the book numbers it"
    assert text.count("Fixture") >= 2, "the list of references"
    exam = PdfReader(folder(made) / "exam.pdf")
    assert inspect_pdf(made, folder(made) / "exam.pdf") == []
    assert len(exam.pages) > len(reader.pages)
    assert exam.metadata is not None
    assert exam.metadata.author == "Test Author"


def test_the_essays_in_word(made: Book) -> None:
    path = folder(made) / "essays.docx"
    assert inspect_word(essays(made), path) == []
    document = docx.Document(str(path))
    facts = document.core_properties
    assert (facts.title, facts.author) == (TITLE, "Test Author")
    assert facts.created is not None
    assert f"{facts.created:%Y-%m-%d}" == "2026-11-22", "the book's date, not today's"
    headings = [text.text for text in document.paragraphs if text.style.name == "Heading 1"]
    assert headings == ["Chapter 1. What is a fixture, and when does it help?", "References"]
    styles = {text.style.name: text.text for text in document.paragraphs}
    assert styles["Image Caption"].startswith(f"Figure{NBSP}1.1: A line")
    assert styles["Table Caption"].startswith(f"Table{NBSP}1.1: When")
    assert len(document.tables) == 1, "tables are tables, figures are not"
    assert len(document.inline_shapes) == 1
    assert "2.1" in "".join(text.text for text in document.paragraphs), "a reference to another file is text"


def test_an_extract_cites_only_its_own(edit: Edit, tmp_path: Path) -> None:
    edit("chapters/01-essay.qmd", "[@fixture2020first; @fixture2021other, section 2]", "[@fixture2021other]")
    edit("chapters/01-essay.qmd", "[-@fixture2020first]", "it")
    book = edit("chapters/01-essay.qmd", "[@fixture2020first] is", "is")
    write_word(essays(book), tmp_path / "essays.docx")
    document = docx.Document(str(tmp_path / "essays.docx"))
    listed = [text.text for text in document.paragraphs if text.style.name == "Bibliography"]
    assert len(listed) == 1
    assert "2021" in listed[0]


def test_the_notebook_says_what_it_is_and_has_every_output(made: Book) -> None:
    first, home, *rest = notebook(made).cells
    assert first.source.startswith("# Chapter 2. Numbers from a record")
    for words in ("Test Author", "codelab run recipes/q0-fixture.yaml", "about 1 min", "**In Colab:** upload"):
        assert words in first.source
    assert "_quarto.yml" in home.source
    code = [cell for cell in [home, *rest] if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    shown = [output for cell in code for output in cell.outputs]
    images = [output for output in shown if "image/png" in output.get("data", {})]
    assert [image.metadata["image/png"]["alt"] for image in images] == ["Bars: a is half as fast as b."]
    assert any(output.get("text") == "printed 2\n" for output in shown)
    prose = "\n".join(cell.source for cell in rest if cell.cell_type == "markdown")
    assert f"1,234{NBSP}tokens/s" in prose, "inline values are values"
    assert f"**Figure{NBSP}2.1.** Speed of each variant" in prose
    assert r"\tag{2.1}" in prose
    assert "#|" not in "".join(cell.source for cell in code)


def test_running_the_notebook_again_changes_nothing(made: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODELAB_ROOT", raising=False)
    path = folder(made) / "question-02.ipynb"
    again = notebook(made)
    for cell in again.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        again, timeout=400, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute()
    rerun = path.with_name("rerun.json")
    rerun.write_text(json.dumps(again))
    found, wanted = outputs(rerun), outputs(path)
    rerun.unlink()
    assert found == wanted


def test_pictures_of_the_prose_travel_in_the_notebook(edit: Edit, tmp_path: Path) -> None:
    book = edit("_quarto.yml", "essays: [1]\n  notebooks: [2]", "essays: [2]\n  notebooks: [1]")
    assert write_notebooks(book, tmp_path) == [tmp_path / "question-01.ipynb"]
    cells = nbformat.read(tmp_path / "question-01.ipynb", as_version=4).cells
    holding = [cell for cell in cells if cell.get("attachments")]
    assert [list(cell.attachments) for cell in holding] == [["line.png"]]
    assert "](attachment:line.png)" in holding[0].source
    text = "\n".join(cell.source for cell in cells)
    assert "> **A titled note**" in text
    assert "Numbers from a record" not in text
    assert "Chapter 2" in text
    assert "## References" in text
    assert inspect_notebook(book, book.chapters[1], tmp_path / "question-01.ipynb") == [
        "question-01.ipynb: its first cell does not say how to run the experiment again"
    ], "an essay has no experiment"


def test_the_repository_address_opens_colab_and_fetches(book: Book) -> None:
    book.settings["book"] |= {"repo-url": "https://github.com/owner/exam/", "repo-branch": "trunk"}
    chapter = book.chapters[2]
    text = prose(book)[chapter.path]
    first, home, *_ = assemble(book, chapter, text).cells
    address = "https://colab.research.google.com/github/owner/exam/blob/submission/question-02.ipynb"
    assert f"[Open in Colab]({address})" in first.source
    assert "git clone --quiet --depth 1 --branch trunk https://github.com/owner/exam repository" in home.source
    place = "https://github.com/owner/exam/blob/trunk/results/q0-fixture/20261101T000000Z-cpu/record.json"
    assert place in "".join(text.pieces), "links to records lead to the repository"
    assert "](../results/" in "".join(prose(read_book(book.root))[chapter.path].pieces), "or to the folder beside"
    with pytest.raises(UserError, match="6 code cells, but its frozen output shows 0"):
        assemble(book, chapter, Prose("title", ["all"]))


@pytest.mark.parametrize(
    ("path", "old", "new", "line"),
    [
        ("_quarto.yml", '  author: "Test Author"\n', "", r"book\.author: missing"),
        ("_quarto.yml", '"Test Author"', '" "', r"book\.author: missing"),
        ("_quarto.yml", "notebooks: [2]", "notebooks: [7]", r"submission\.notebooks: no chapter has the number 7"),
        ("_quarto.yml", "essays: [1]", "essays: yes", r"submission\.essays: expected a list"),
        ("results/q0-fixture/20261101T000000Z-cpu/record.json", "1234.5", "1234.6", "record .* changed"),
        ("figures/line.svg", "<svg", "<svg", "run `codelab figures`"),
    ],
)
def test_one_line_and_nothing_written(edit: Edit, path: str, old: str, new: str, line: str) -> None:
    book = edit(path, old, new)
    if path.endswith(".svg"):
        (book.root / "figures/line.png").unlink()
    with pytest.raises(UserError, match=line):
        build_submission(book)
    assert not (book.root / "submission").exists()
    assert not list(book.root.glob(".submission-*"))


def test_a_failing_cell_is_one_line_and_keeps_the_old_files(copy: Book) -> None:
    before = (folder(copy) / "exam.pdf").read_bytes()
    path = copy.root / "chapters/02-numbers.qmd"
    path.write_text(path.read_text().replace('print("printed", 1 + 1)', 'raise ValueError("broken cell")'))
    frozen = copy.root / "_freeze/chapters/02-numbers/execute-results"
    book = read_book(copy.root)
    for file in frozen.iterdir():
        file.write_text(json.dumps(json.loads(file.read_text()) | {"hash": book.chapters[2].md5}))
    with pytest.raises(
        UserError, match=r"chapters/02-numbers\.qmd: a cell of its notebook failed: ValueError: broken cell"
    ):
        build_submission(book, allow_stale=True)
    assert (folder(copy) / "exam.pdf").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda cells: cells.pop(), "2 formulas expected, 1 shown"),
        (lambda cells: cells[0].update(source="# Chapter 2. Numbers from a record"), "does not say the author"),
        (lambda cells: cells[1].update(execution_count=9), "not once each in order"),
        (lambda cells: [cell.update(outputs=[]) for cell in cells if "outputs" in cell], "shows no image/png"),
        (lambda cells: [cell.update(source="x") for cell in cells if "book.setup" in cell.source], "of the chapter is"),
        (lambda cells: cells[-1].update(source="see @fig-q2-bars"), "unresolved reference"),
        (
            lambda cells: cells[1].update(outputs=[nbformat.v4.new_output("stream", name="stderr", text="oh")]),
            "wrote to stderr",
        ),
        (
            lambda cells: cells[1].update(outputs=[nbformat.v4.new_output("error", ename="E", evalue="v")]),
            "error in a cell: E: v",
        ),
        (lambda cells: [cell.pop("attachments", 0) or cell.update(source=cell.source.replace(r"\tag", ""))
                        for cell in cells], "number of @eq-q2-sum is missing"),
        (lambda cells: [cell.update(source=cell.source.replace(f"Figure{NBSP}2.1.", "")) for cell in cells],
         "caption of @fig-q2-bars"),
        (lambda cells: [output.metadata.clear() for cell in cells for output in cell.get("outputs", ())
                        if "metadata" in output], "no picture says"),
    ],
)  # fmt: skip
def test_each_fault_of_a_notebook_is_found(copy: Book, change: Callable[[Any], Any], fault: str) -> None:
    book, path = copy, folder(copy) / "question-02.ipynb"
    content = notebook(book)
    change(content.cells)
    path.write_text(json.dumps(content))
    faults = inspect_notebook(book, book.chapters[2], path)
    assert any(fault in found for found in faults), faults
    assert any(
        "submission.zip: question-02.ipynb is not the file beside it" in found for found in look(book, path.parent)
    )


def test_missing_and_unreadable_files(copy: Book) -> None:
    where = folder(copy)
    (where / "question-02.ipynb").write_text("{}")
    assert "not a notebook" in inspect_notebook(copy, copy.chapters[2], where / "question-02.ipynb")[0]
    with pytest.raises(UserError, match="not a notebook"):
        outputs(where / "question-02.ipynb")
    (where / "submission.zip").write_bytes(b"no zip")
    assert any("submission.zip: cannot be read" in fault for fault in look(copy, where))
    with zipfile.ZipFile(where / "submission.zip", "w") as archive:
        archive.write(where / "exam.pdf", "exam.pdf")
    assert any("holds exam.pdf; expected essays.docx" in fault for fault in look(copy, where))
    (where / "essays.pdf").unlink()
    assert look(copy, where) == ["essays.pdf: missing"]
    assert inspect_notebook(copy, copy.chapters[2], where / "gone.ipynb") == ["gone.ipynb: missing"]


def test_the_verb(made: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODELAB_ROOT", raising=False)
    monkeypatch.chdir(made.root)
    before = sha256_file(folder(made) / "submission.zip")
    done = CliRunner().invoke(app, ["book", "submission"])
    assert done.exit_code == 0, done.output
    assert f"{before}  submission/submission.zip" in done.output
    assert "submission.zip: complete" in done.output
