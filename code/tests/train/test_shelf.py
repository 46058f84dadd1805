"""A shelf keeps one stage's rows apart from the run's and from other shelves', and unloads them into the run."""

from pathlib import Path

import pytest

from codelab.records import Environment, Hardware, Recipe, Run, open_run, read_record, read_samples, read_steps
from codelab.train.shelf import Shelf, unload

RECIPE = Recipe(kind="demo", title="Demo", hardware=Hardware(minutes=1))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    opened = open_run(RECIPE, "demo", tmp_path, [])
    opened.environment(Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}), None)
    return opened


def test_rows_of_shelves_and_run_stay_apart_and_survive_a_continuation(run: Run, tmp_path: Path) -> None:
    a, b = Shelf(run, "a"), Shelf(run, "b")
    run.step(step=1)
    a.step(chunk=1)
    a.sample(task_id=1)
    b.sample(task_id=2)
    assert (run.steps_so_far(), run.samples_so_far()) == ([{"step": 1}], [])
    run._lock.close()
    again = Shelf(open_run(RECIPE, "demo", tmp_path, []), "a")
    assert (again.steps_so_far(), again.samples_so_far()) == ([{"chunk": 1}], [{"task_id": 1}])


def test_unloading_twice_gives_each_sample_once_with_its_shelf(run: Run) -> None:
    shelves = [Shelf(run, "a"), Shelf(run, "b")]
    for shelf in shelves:
        shelf.sample(task_id=1)
        shelf.step(chunk=1)
    unload(run, shelves)
    unload(run, shelves)
    folder = run.finish()
    assert read_samples(folder) == [{"variant": "a", "task_id": 1}, {"variant": "b", "task_id": 1}]
    assert read_steps(folder) == []


def test_numbers_go_to_the_run_under_the_shelf_s_name(run: Run) -> None:
    shelf = Shelf(run, "a")
    shelf.metric("pass@1", 0.5, n=4)
    shelf.table("scores", [{"k": 1}])
    shelf.step(generate_seconds=1.5, execute_seconds=0.25, tokens=10)
    shelf.step(generate_seconds=0.5, execute_seconds=0.25, tokens=5)
    shelf.phases()
    record = read_record(run.finish())
    assert {name: metric.value for name, metric in record.metrics.items()} == {
        "a.pass@1": 0.5,
        "a.generated_tokens": 15,
    }
    assert record.tables == {"a.scores": [{"k": 1}]}
    assert [(phase.name, phase.variant, phase.seconds) for phase in record.phases] == [
        ("generate", "a", 2.0),
        ("execute", "a", 0.5),
    ]


def test_the_time_is_the_run_s(run: Run) -> None:
    shelf = Shelf(run, "a")
    assert not shelf.time_is_up()
    run.stop_after = 0.0
    assert shelf.time_is_up()
