"""Arms against their start: paired over tasks, with the spread over seeds, and words only where they are earned."""

from pathlib import Path
from typing import Any

import pytest

from codelab.train.dpo_recipe import DpoRecipe
from codelab.train.dpo_report import compare, rivals

from .test_dpo import values

TASKS = range(11, 71)
SETTINGS = (("greedy", 1), ("t0.8", 1), ("t0.8", 2))


class Book:
    """Keeps what is written into it."""

    def __init__(self) -> None:
        self.metrics: dict[str, dict[str, Any]] = {}
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def metric(self, name: str, value: float, **more: Any) -> None:
        self.metrics[name] = {"value": value, **more}

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.tables[name] = rows


def rows(setting: str, n: int, passing: dict[int, int]) -> list[dict[str, Any]]:
    return [
        {"setting": setting, "task_id": task, "index": i, "passed": i < passing.get(task, 0)}
        for task in TASKS
        for i in range(n)
    ]


def model(greedy: dict[int, int], sampled: dict[int, int]) -> list[dict[str, Any]]:
    return rows("greedy", 1, greedy) + rows("t0.8", 3, sampled)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    arms = {name: {"beta": 0.1, "rate": 0.001} for name in ("good", "same", "bad")}
    recipe = DpoRecipe.model_validate(values(tmp_path, arms=arms, baselines={"base": "path:x"}))
    start = {task: 1 for task in TASKS if task % 2}
    more = {task: 2 for task in TASKS if task % 3}
    written = Book()
    judged = {
        "start": model(start, start),
        "base": model({}, {}),
        "good-seed0": model(start | more, start | more),
        "good-seed1": model(start, dict.fromkeys(TASKS, 3)),
        "same-seed0": model(start, start),
        "same-seed1": model(start, start),
        "bad-seed0": model({}, {}),
        "bad-seed1": model({}, {}),
    }
    compare(recipe, written, judged, "start")
    return written


def test_differences_are_means_over_seeds_of_paired_scores(book: Book) -> None:
    start = sum(task % 2 for task in TASKS) / 3 / len(TASKS)
    first = sum((2 if task % 3 else task % 2) / 3 for task in TASKS) / len(TASKS)
    score = (first + 1) / 2
    found = book.metrics["good.t0.8.pass@1.difference"]
    assert found["value"] == pytest.approx(score - start)
    assert found["n"] == len(TASKS)
    assert book.metrics["good.t0.8.pass@1"]["value"] == pytest.approx(score)
    seeds = book.metrics["good.t0.8.pass@1.difference.seeds"]
    assert (seeds["value"], seeds["n"]) == (pytest.approx(score - start), 2)
    assert seeds["low"] < 0 < found["low"], "two seeds far apart say little, sixty tasks say much"


def test_better_and_worse_are_written_only_where_the_interval_excludes_zero(book: Book) -> None:
    verdicts = {(row["model"], row["setting"], row["k"]): row["verdict"] for row in book.tables["comparison"]}
    assert verdicts["good", "t0.8", 1] == "better"
    assert verdicts["same", "t0.8", 1] == verdicts["same", "greedy", 1] == "no difference shown"
    assert verdicts["bad", "greedy", 1] == verdicts["base", "t0.8", 2] == "worse"
    assert set(verdicts) == {(m, *s) for m in ("good", "same", "bad", "base") for s in SETTINGS}


def test_every_trained_model_is_compared_alone_and_greedy_answers_by_mcnemar(book: Book) -> None:
    table = {(row["model"], row["setting"], row["k"]): row for row in book.tables["by_seed"]}
    assert set(table) == {(f"{m}-seed{i}", *s) for m in ("good", "same", "bad") for i in (0, 1) for s in SETTINGS}
    gained = sum(bool(task % 3) and not task % 2 for task in TASKS)
    good = table["good-seed0", "greedy", 1]
    assert (good["only_start"], good["only_model"]) == (0, gained)
    assert good["p_value"] == pytest.approx(2 / 2**gained)
    assert table["same-seed1", "greedy", 1]["p_value"] == 1
    assert table["good-seed1", "t0.8", 1]["p_value"] is None, "several answers a task are no yes or no"
    assert table["good-seed1", "t0.8", 1]["verdict"] == "better"
    found = book.metrics["good-seed1.t0.8.pass@1.difference"]
    assert found["value"] == pytest.approx(1 - sum(task % 2 for task in TASKS) / 3 / len(TASKS))
    assert found["low"] > 0


def test_rivals_that_differ_in_a_number_are_one_methods_seeds(tmp_path: Path) -> None:
    recipe = DpoRecipe.model_validate(
        values(
            tmp_path,
            arms={"good": {"beta": 0.1, "rate": 0.001}},
            baselines=dict.fromkeys(("x-0", "x-1", "y"), "path:x"),
        )
    )
    some, more = {task: 1 for task in TASKS if task % 2}, {task: 2 for task in TASKS if task % 3}
    judged = {
        "x-0": model(some, some),
        "x-1": model({}, {}),
        "y": model(more, more),
        "good-seed0": model(more, more),
        "good-seed1": model(some, more),
    }
    written = Book()
    rivals(recipe, written, judged)
    found = written.metrics["good.t0.8.pass@1.over.x"]
    ours, theirs = (2 * sum(bool(task % 3) for task in TASKS) / 3, sum(task % 2 for task in TASKS) / 3 / 2)
    assert found["value"] == pytest.approx((ours - theirs) / len(TASKS))
    assert found["low"] > 0
    assert written.metrics["good.t0.8.pass@1.over.y"]["value"] == 0
    by_key = {(row["rival"], row["setting"], row["k"]): row for row in written.tables["rivals"]}
    assert set(by_key) == {(rival, *s) for rival in ("x", "y") for s in SETTINGS}
    assert (by_key["x", "t0.8", 1]["rival_seeds"], by_key["x", "t0.8", 1]["verdict"]) == (2, "better")
    assert by_key["x", "t0.8", 1]["rival_score"] == pytest.approx(theirs / len(TASKS))
