"""The verbs of the book, as a user types them."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from codelab.book import diagrams
from codelab.book.project import Book
from codelab.cli import verbs  # noqa: F401 - registers the verbs
from codelab.cli.app import app
from codelab.errors import UserError

Edit = Callable[[str, str, str], Book]
runner = CliRunner()


@pytest.fixture(autouse=True)
def inside(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the book's folder, with no diagrams to draw."""
    monkeypatch.delenv("CODELAB_ROOT", raising=False)
    monkeypatch.chdir(book.root)
    monkeypatch.setattr(diagrams, "_REGISTRY", {})
    monkeypatch.setattr(diagrams, "iter_modules", lambda _: [])


def test_check(edit: Edit) -> None:
    done = runner.invoke(app, ["check"])
    assert (done.exit_code, done.output.strip()) == (0, "5 chapters: fresh, complete, within the rules")
    edit("results/q0-fixture/20261101T000000Z-cpu/record.json", "1234.5", "1234.6")
    edit("references.bib", "year = {2021}", "note = {x}")
    done = runner.invoke(app, ["check"])
    assert done.exit_code == 1
    assert "record q0-fixture/20261101T000000Z-cpu changed" in done.output
    assert "fixture2021other: no year" in done.output
    assert done.output.strip().endswith("4 faults")


def test_build_and_inspect(book: Book) -> None:
    done = runner.invoke(app, ["book", "build", "--renderer", "pandoc"])
    assert done.exit_code == 0, done.output
    assert "_book/index.html (pandoc, " in done.output
    assert runner.invoke(app, ["book", "inspect"]).exit_code == 0
    (book.root / "_book/references.html").unlink()
    done = runner.invoke(app, ["book", "inspect", "_book"])
    assert done.exit_code == 1
    assert "references.html: missing" in done.output


def test_stamp(book: Book) -> None:
    (book.root / "_freeze/stamp.json").unlink()
    done = runner.invoke(app, ["book", "stamp"])
    assert (done.exit_code, done.output.strip()) == (0, "stamped: every frozen chapter is fresh")


def test_figures_and_runs() -> None:
    done = runner.invoke(app, ["figures"])
    assert (done.exit_code, done.output.strip()) == (0, "0 diagrams up to date")
    done = runner.invoke(app, ["runs"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert "20261101T000000Z-cpu" in done.output
    assert "60 s" in done.output.replace("\N{NO-BREAK SPACE}", " ")
    done = runner.invoke(app, ["runs", "q0-none"])
    assert isinstance(done.exception, UserError)
    assert str(done.exception) == "results: no records of q0-none; `codelab run` makes them"


@pytest.mark.parametrize(
    "verb",
    [
        ["check"],
        ["figures"],
        ["runs"],
        ["book", "build"],
        ["book", "stamp"],
        ["book", "inspect"],
        ["book", "submission"],
    ],
)
def test_help_has_an_example(verb: list[str]) -> None:
    done = runner.invoke(app, [*verb, "--help"])
    assert done.exit_code == 0
    assert "Example: " in done.output
