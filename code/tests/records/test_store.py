"""Runs survive a kill at any moment; damaged records are noticed."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codelab.errors import UserError
from codelab.records import (
    Environment,
    Hardware,
    Phase,
    Recipe,
    Run,
    files,
    find_records,
    open_run,
    read_record,
    read_samples,
    read_steps,
    reopen,
    verify_files,
)

CODE = Path(__file__).resolve().parents[2]
RECIPE = Recipe(kind="demo", title="Demo", hardware=Hardware(minutes=1))


def start(results: Path, recipe: Recipe = RECIPE, **more: Any) -> Run:
    run = open_run(recipe, "demo", results, ["codelab", "run"], **more)
    run.environment(Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}), None)
    return run


def test_a_finished_run_reads_back(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.phase(Phase(name="load", seconds=1.0))
    run.phase(Phase(name="load", seconds=2.0))
    run.phase(Phase(name="load", seconds=3.0, variant="b"))
    run.metric("pass@1", 0.5, low=0.4, high=0.6, n=10)
    run.table("t", [{"a": 1, "b": None}])
    run.step(step=1, loss=2.0)
    run.step(step=2, loss=1.0, extra=3)
    run.sample(text="é\n", passed=False)
    (run.work / "checkpoint").write_text("x")
    folder = run.finish()
    record = read_record(folder)
    assert [(p.seconds, p.variant) for p in record.phases] == [(2.0, None), (3.0, "b")]
    assert record.metrics["pass@1"].high == 0.6
    assert read_steps(folder) == [
        {"step": "1", "loss": "2.0", "extra": ""},
        {"step": "2", "loss": "1.0", "extra": "3"},
    ]
    assert read_samples(folder) == [{"text": "é\n", "passed": False}]
    assert sorted(path.name for path in folder.iterdir()) == ["record.json", "samples.jsonl.zst", "steps.csv"]
    verify_files(folder, record)
    assert [found for found, _ in find_records(tmp_path, "demo")] == [folder]


def test_a_partial_run_is_no_record_and_is_continued(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.step(step=1)
    run._lock.close()
    assert list(find_records(tmp_path)) == []
    again = start(tmp_path)
    assert again.folder == run.folder
    assert again.resumed == 1
    assert again.steps_so_far() == [{"step": 1}]
    assert again.has_results()


def test_other_values_start_a_new_run(tmp_path: Path) -> None:
    first = start(tmp_path, label="a")
    first._lock.close()
    second = start(tmp_path, RECIPE.model_copy(update={"seeds": (1,)}), label="b")
    assert second.folder != first.folder
    assert second.resumed == 0


def test_fresh_throws_the_partial_run_away(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.step(step=1)
    run._lock.close()
    assert not start(tmp_path, fresh=True).has_results()


def test_two_processes_cannot_share_a_run(tmp_path: Path) -> None:
    run = start(tmp_path)
    with (run.folder / "steps.jsonl").open("w") as handle:
        handle.write('{"step": 1')  # the first process is in the middle of a line
        handle.flush()
        with pytest.raises(UserError, match="another process"):
            start(tmp_path)
        handle.write("}\n")
    assert run.steps_so_far() == [{"step": 1}]
    run.discard()
    assert not list((tmp_path / "demo").iterdir())


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.sample(i=0)
    with (run.folder / "samples.jsonl").open("a") as handle:
        handle.write('{"i": 1, "te')
    assert run.samples_so_far() == [{"i": 0}]
    run.sample(i=1)
    assert run.samples_so_far() == [{"i": 0}, {"i": 1}]
    run.truncate("samples", 1)
    assert run.samples_so_far() == [{"i": 0}]


def test_kill_9_leaves_no_half_record(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from codelab.records import Hardware, Recipe, open_run\n"
        "recipe = Recipe(kind='demo', title='Demo', hardware=Hardware(minutes=1))\n"
        "run = open_run(recipe, 'demo', Path(sys.argv[1]), [])\n"
        "run.step(step=1)\nrun.metric('m', 1.0)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], check=False, env={**os.environ, "PYTHONPATH": str(CODE)}
    )
    assert done.returncode == -signal.SIGKILL
    assert list(find_records(tmp_path)) == []
    run = start(tmp_path)
    assert run.resumed == 1
    record = read_record(run.finish())
    assert record.resumed == 1
    assert record.metrics["m"].value == 1.0


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(tmp_path)

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        run.metric("m", 1.0)
    assert not [path for path in run.folder.iterdir() if path.suffix == ".tmp"]


@pytest.mark.parametrize("damage", ["cut", "key", "gone"])
def test_a_damaged_record_is_one_line(tmp_path: Path, damage: str) -> None:
    folder = start(tmp_path).finish()
    path = folder / "record.json"
    text = path.read_text()
    if damage == "cut":
        path.write_text(text[: len(text) // 2])
    elif damage == "key":
        path.write_text(text.replace('"title"', '"titel"'))
    else:
        path.unlink()
    with pytest.raises(UserError, match=r"record\.json"):
        read_record(folder)


def test_changed_files_beside_the_record_are_noticed(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.step(step=1)
    folder = run.finish()
    (folder / "steps.csv").write_text("step\n2\n")
    with pytest.raises(UserError, match="differs"):
        verify_files(folder, read_record(folder))
    (folder / "steps.csv").unlink()
    with pytest.raises(UserError, match="missing"):
        verify_files(folder, read_record(folder))


def test_a_stopped_run_ends_when_it_last_wrote_and_is_not_a_continued_one(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.metric("pass@1", 0.5)
    run.step(step=1)
    state = json.loads((run.folder / "state.json").read_text())
    run._lock.close()
    (run.folder / "state.json").write_text(
        json.dumps(state | {"started": "2026-01-01T00:00:00+00:00", "seconds": 90.0, "code": {"sha256": "0" * 64}})
    )
    record = read_record(reopen(run.folder).finish("stopped", "The machine was taken back."))
    assert (record.state, record.error) == ("stopped", "The machine was taken back.")
    assert (record.finished, record.resumed) == ("2026-01-01T00:01:30+00:00", 0)
    assert record.seconds == pytest.approx(90, abs=1)
    assert record.metrics["pass@1"].value == 0.5
    with pytest.raises(UserError, match="expected the folder of an unfinished run"):
        reopen(tmp_path / "demo" / record.run)
    with pytest.raises(UserError, match="expected the folder of an unfinished run"):
        reopen(tmp_path / "demo" / ".gone.partial")


def test_a_failed_run_stays(tmp_path: Path) -> None:
    folder = start(tmp_path).finish("failed", "RuntimeError: out of memory")
    record = read_record(folder)
    assert (record.state, record.error) == ("failed", "RuntimeError: out of memory")


def test_a_partial_run_in_the_layout_on_disk_is_continued_and_packed(tmp_path: Path) -> None:
    first = start(tmp_path)
    (first.folder / "steps.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    (first.folder / "samples.jsonl").write_text('{"task_id": 11}\n{"task_id": 12, "te')
    first._lock.close()
    again = start(tmp_path)
    again.step(step=2, loss=1.0)
    again.sample(task_id=13)
    folder = again.finish()
    assert [row["loss"] for row in read_steps(folder)] == ["2.0", "1.0"]
    assert [row["task_id"] for row in read_samples(folder)] == [11, 13]
    assert sorted(path.name for path in folder.iterdir()) == ["record.json", "samples.jsonl.zst", "steps.csv"]
