"""A run that was cut off for good becomes a record with what was on disk."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from codelab.cli import verbs  # noqa: F401 - registers the verbs
from codelab.cli.app import app
from codelab.errors import UserError
from codelab.records import Environment, Hardware, Recipe, Run, open_run, read_record, read_samples, read_steps
from codelab.train.shelf import Shelf


def partial(results: Path) -> Run:
    recipe = Recipe(kind="demo", title="Demo", hardware=Hardware(minutes=1))
    run = open_run(recipe, "demo", results, ["codelab", "run"])
    run.environment(Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}), None)
    return run


def close(folder: Path, why: str = "Gone.") -> Path:
    found = CliRunner().invoke(app, ["close", str(folder), "--why", why], catch_exceptions=False)
    assert found.exit_code == 0
    return Path(found.stdout.strip().replace("\n", ""))


def test_steps_scores_and_the_answers_of_every_stage_are_kept(tmp_path: Path) -> None:
    run = partial(tmp_path)
    run.metric("start.pass@1", 0.25)
    run.step(step=1, loss=2.0)
    for name in ("start", "arm-seed0"):
        shelf = Shelf(run, name)
        shelf.sample(task_id=11, text=name)
    Shelf(run, "empty")
    (run.work / "checkpoints").mkdir()
    run._lock.close()
    folder = close(run.folder)
    record = read_record(folder)
    assert (record.state, record.error, record.metrics["start.pass@1"].value) == ("stopped", "Gone.", 0.25)
    assert read_steps(folder) == [{"step": "1", "loss": "2.0"}]
    assert {row["variant"]: row["text"] for row in read_samples(folder)} == {"start": "start", "arm-seed0": "arm-seed0"}
    assert not (folder / "work").exists()


def test_samples_of_a_run_without_stages_stay(tmp_path: Path) -> None:
    run = partial(tmp_path)
    run.sample(text="kept")
    run._lock.close()
    assert read_samples(close(run.folder)) == [{"text": "kept"}]


def test_what_cannot_be_closed_is_one_line(tmp_path: Path) -> None:
    run = partial(tmp_path)
    run._lock.close()
    for folder, why, message in (
        (run.folder, " ", "expected a sentence"),
        (run.folder, "Gone.", "nothing was measured"),
        (tmp_path, "Gone.", "unfinished run"),
    ):
        with pytest.raises(UserError, match=message):
            CliRunner().invoke(app, ["close", str(folder), "--why", why], catch_exceptions=False)
    assert run.folder.exists()
