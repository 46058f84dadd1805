"""The tables of README.md come from records and recipes, and the check notices when they do not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from codelab.book.project import Book
from codelab.book.readme import outdated, update
from codelab.cli import verbs  # noqa: F401 - registers the verbs
from codelab.cli.app import app
from codelab.errors import UserError

Edit = Callable[[str, str, str], Book]
MARKERS = "<!-- results: note -->\n<!-- end of results -->\nbetween\n<!-- reruns: note -->\n<!-- end of reruns -->"
EMPTY = f"# Title\n\n{MARKERS}\nend\n"
RUN = "results/q0-fixture/20261101T000000Z-cpu/record.json"


@pytest.fixture
def readme(book: Book, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A README with empty tables, in the folder that the test works in."""
    monkeypatch.delenv("CODELAB_ROOT", raising=False)
    monkeypatch.chdir(book.root)
    path = book.root / "README.md"
    path.write_text(EMPTY)
    return path


def test_tables_are_written_between_the_markers_and_only_there(readme: Path, edit: Edit) -> None:
    edit(RUN, '"accuracy"', '"greedy.pass@1"')
    assert outdated(readme.parent) == ["README.md: its tables are not those of the records; run `codelab book readme`"]
    assert update(readme.parent)
    text = readme.read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert text.startswith("# Title\n\n<!-- results: note -->\n\n| ")
    assert text.endswith("<!-- end of reruns -->\nend\n")
    assert "\nbetween\n" in text
    assert "greedy pass@1 12.3 % (95 % CI 10.1–14.2 %)" in text
    assert f"]({RUN})" in text
    assert "`codelab run recipes/q0-fixture.yaml`" in text
    assert "any machine" in text
    assert outdated(readme.parent) == []
    assert not update(readme.parent)


def test_a_difference_is_told_greedily_and_sampled(readme: Path, edit: Edit) -> None:
    edit(RUN, '"accuracy"', '"sft.t0.6.pass@1.difference"')
    assert update(readme.parent)
    text = readme.read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert "| sampled +12.3 points (95 % CI +10.1 to +14.2 points) |" in text


def test_a_comparison_of_several_pairs_says_which_one_it_shows(readme: Path, edit: Edit) -> None:
    record = json.loads((readme.parent / RUN).read_text())
    found = record["metrics"]["accuracy"]
    settings = ("greedy", "t0.6")
    record["metrics"] = {f"{pair}.{how}.pass@1.difference": found for pair in ("early", "late") for how in settings}
    told = "greedy pass@1, difference +12.3 points (95 % CI +10.1 to +14.2 points); sampled +12.3 points"
    for kind, shown in (("compare", f"| early: {told}"), ("evaluate", f"| {told}")):
        record["recipe"]["kind"] = kind
        (readme.parent / RUN).write_text(json.dumps(record))
        assert update(readme.parent)
        assert shown in readme.read_text().replace("\N{NO-BREAK SPACE}", " ")


def test_a_changed_record_and_a_new_recipe_make_it_stale(readme: Path, edit: Edit) -> None:
    update(readme.parent)
    assert "No run is recorded yet." in readme.read_text(), "a run without a headline is no result"
    edit("recipes/q0-fixture.yaml", "minutes: 1", "minutes: 3")
    assert outdated(readme.parent)
    update(readme.parent)
    (readme.parent / "recipes/new.yaml").write_text(
        "kind: x\nquestion: 9\nhardware: {device: gpu, gpu_memory_gb: 24, minutes: 90}\n"
    )
    assert outdated(readme.parent)
    update(readme.parent)
    row = next(line for line in readme.read_text().splitlines() if "recipes/new.yaml" in line)
    assert "GPU, 24 GB" in row
    assert "90\N{NO-BREAK SPACE}min" in row
    assert "none yet" in row


def test_missing_markers_and_files(readme: Path) -> None:
    readme.write_text("# Title\n")
    assert "the markers" in outdated(readme.parent)[0]
    with pytest.raises(UserError, match=r"README\.md: the markers `<!-- results"):
        update(readme.parent)
    readme.unlink()
    assert outdated(readme.parent) == []
    with pytest.raises(UserError, match="cannot be read"):
        update(readme.parent)


def test_the_verb_and_the_check(readme: Path) -> None:
    runner = CliRunner()
    assert "not those of the records" in runner.invoke(app, ["check"]).output
    assert runner.invoke(app, ["book", "readme"]).output == "README.md: written again\n"
    assert runner.invoke(app, ["book", "readme"]).output == "README.md: its tables are those of the records\n"
    assert "README.md" not in runner.invoke(app, ["check"]).output
