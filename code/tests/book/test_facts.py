"""Reading runs for chapters: the newest good one, its numbers, its origin, and one clear line when it is missing."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codelab.book import facts
from codelab.book.formats import NBSP
from codelab.book.project import Book
from codelab.errors import UserError

Edit = Callable[[str, str, str], Book]
RUN = "results/q0-fixture/20261101T000000Z-cpu"


@pytest.fixture
def inside(book: Book, monkeypatch: pytest.MonkeyPatch) -> Book:
    """Work from a chapter's folder, as a kernel does."""
    monkeypatch.delenv("CODELAB_ROOT", raising=False)
    monkeypatch.chdir(book.root / "chapters")
    return book


@pytest.mark.usefixtures("inside")
def test_values() -> None:
    run = facts.latest("q0-fixture")
    assert run.value("rate") == f"1,234{NBSP}tokens/s"
    assert run.value("accuracy", ".2f") == f"12.34{NBSP}%"
    assert run.number("accuracy") == 0.1234
    assert run.ci("accuracy").replace(NBSP, " ") == "12.3 % (95 % CI 10.1–14.2 %)"
    assert run.phase("generate").seconds == 5
    assert run.phase("load", "a").seconds == 2
    assert list(run.frame("speed")["variant"]) == ["a", "b"]
    assert list(run.phases()["name"]) == ["load", "generate"]
    assert run.steps().empty
    assert run.samples() == []
    assert run.device == "A processor"


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda run: run.value("speed"), "no metric 'speed'; there are accuracy, rate"),
        (lambda run: run.ci("rate"), "metric 'rate' has no interval"),
        (lambda run: run.phase("load", "b"), "no phase 'load/b'; there are generate/a, load/a"),
        (lambda run: run.frame("none"), "no table 'none'; there are speed"),
        (lambda _: facts.latest("q0-other"), "results/q0-other: no successful run yet; make one with `codelab run"),
        (lambda _: facts.latest("q0-fixture", device="H100"), "no successful run on H100 yet"),
    ],
)
def test_what_is_missing_is_named(ask: Callable[[facts.Facts], object], line: str) -> None:
    with pytest.raises(UserError, match=line.replace("(", r"\(").replace("`", ".")):
        ask(facts.latest("q0-fixture"))


def test_newest_good_run_of_the_device(inside: Book, edit: Edit) -> None:
    for day, state, device in (("02", "ok", "NVIDIA H100 80GB HBM3"), ("03", "failed", "NVIDIA H100 80GB HBM3")):
        name = f"results/q0-fixture/202611{day}T000000Z-h100"
        shutil.copytree(inside.root / RUN, inside.root / name)
        edit(f"{name}/record.json", "2026-11-01T00:00:00", f"2026-11-{day}T00:00:00")
        edit(f"{name}/record.json", "20261101T000000Z-cpu", f"202611{day}T000000Z-h100")
        edit(f"{name}/record.json", '"state": "ok"', f'"state": "{state}"')
        edit(f"{name}/record.json", '"device": null', f'"device": {{"name": "{device}", "memory_bytes": 80000000000}}')
    assert facts.latest("q0-fixture").record.run == "20261102T000000Z-h100"
    assert facts.latest("q0-fixture", device="h100").device == "NVIDIA H100 80GB HBM3"
    assert facts.latest("q0-fixture", device="cpu").record.run == "20261101T000000Z-cpu"
    assert [run.record.state for run in facts.history("q0-fixture")] == ["ok", "ok", "failed"]


@pytest.mark.usefixtures("inside")
def test_provenance_names_record_commit_device_and_day() -> None:
    line = facts.latest("q0-fixture").provenance()
    for part in (
        "(../results/q0-fixture/20261101T000000Z-cpu/record.json)",
        "`2222222222`",
        "A processor",
        "2026-11-01",
    ):
        assert part in line


def test_runs_of_one_sitting_share_a_sentence(inside: Book, edit: Edit) -> None:
    for name, day in (("20261101T010000Z-cpu", "01"), ("20261104T000000Z-cpu", "04")):
        shutil.copytree(inside.root / RUN, inside.root / "results" / "q0-fixture" / name)
        edit(f"results/q0-fixture/{name}/record.json", "20261101T000000Z-cpu", name)
        edit(f"results/q0-fixture/{name}/record.json", "2026-11-01T00:00:00", f"2026-11-{day}T01:00:00")
    line = facts.provenance(*facts.history("q0-fixture"))
    assert line.startswith("Records [`q0-fixture/20261101T000000Z-cpu`](")
    assert " and [`q0-fixture/20261101T010000Z-cpu`](" in line
    assert line.count("commit `2222222222`") == 2
    assert line.count("2026-11-01.") == line.count(". Record [`q0-fixture/20261104T000000Z-cpu`](") == 1


def test_steps_are_numbers(inside: Book) -> None:
    (inside.root / RUN / "steps.csv").write_text("step,loss,note\n1,0.5,a\n2,,b\n")
    steps = facts.latest("q0-fixture").steps()
    assert steps["loss"].tolist()[0] == 0.5
    assert steps["loss"].isna().tolist() == [False, True]
    assert steps["note"].tolist() == ["a", "b"]


def test_outside_a_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODELAB_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no _quarto\.yml here or above"):
        facts.root()


def test_the_book_imports_no_torch() -> None:
    code = (
        "import sys, codelab.book.facts, codelab.book.tables, codelab.book.figures, codelab.book; codelab.book.setup()"
    )
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
