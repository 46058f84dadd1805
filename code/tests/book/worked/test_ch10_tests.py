"""Answers to test tasks are counted by hand-made rows, each model by itself."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import ch10_tests
from codelab.records import Environment, Record
from codelab.records.files import to_csv
from codelab.records.schema import CodeFacts, RecipeFacts

SORT = "def f(v):\n    return sorted(v)\n"
METHOD = "def f(v):\n    v.sort()\n    return v\n"
ONE = "def f(v):\n    return 1\n"


def answer(model: str, task: int, text: str, held: int) -> dict[str, Any]:
    return {
        "variant": model, "split": "test", "setting": "t0.6", "task_id": task, "text": text, "passed": held == 3,
        "tests_passed": held, "tests_total": 3, "tokens": 9, "failure": "none" if held == 3 else "wrong_value",
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    folder = tmp_path / "r" / "1"
    folder.mkdir(parents=True)
    looks = [
        {"arm": "arm-seed0", "step": step, "seconds": 1.0, "kl": kl, "pass@1": 0.1} for step, kl in ((0, 0.0), (5, 2.5))
    ]
    (folder / "steps.csv").write_text(to_csv(looks))
    rows = [
        answer("start", 1, ONE, 1), answer("start", 1, METHOD, 3), answer("start", 2, SORT, 3),
        answer("start", 2, ONE, 0), answer("start", 3, SORT, 2), answer("start", 3, "def f(:", 0),
        answer("arm-seed0", 1, SORT, 3), answer("arm-seed0", 1, SORT, 3), answer("arm-seed0", 2, ONE, 2),
        answer("arm-seed0", 2, ONE, 1), answer("arm-seed0", 3, SORT, 3), answer("arm-seed0", 3, SORT, 2),
    ]  # fmt: skip
    monkeypatch.setattr(Facts, "samples", lambda _: rows)
    values = {"arms": {"arm": {}}, "seeds": [0], "questions": {"split": "test"}}
    tables: dict[str, list[dict[str, Any]]] = {}
    for model in ("start", "arm-seed0"):
        tables[f"{model}.failures"] = [
            {"group": f"test {setting}", "failure": failure, "count": count, "share": 0.0}
            for setting, failure, count in (("t0.6", "none", 1), ("t0.6", "syntax", 3), ("greedy", "timeout", 7))
        ]
        tables[f"{model}.tests_passed"] = [
            {"split": "test", "setting": setting, "held": held, "of": 3, "count": 1, "share": share}
            for setting, shares in (("greedy", (1, 0, 0, 0)), ("t0.6", (0.5, 0.25, 0.125, 0.125)))
            for held, share in enumerate(shares)
        ]
    return Facts(folder, Record(
        run="1", title="t", state="ok", command=[], started="2026-11-23", finished="", seconds=9, seeds=[0],
        code=CodeFacts(sha256="0"), recipe=RecipeFacts(name="r", kind="grpo", sha256="0", values=values),
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
        metrics={}, tables=tables,
    ))  # fmt: skip


def test_classes_are_shares_of_a_models_own_answers(run: Facts) -> None:
    start, arm = ch10_tests.written([(run, {"start": "before", "arm-seed0": "after"})])
    assert (start["name"], start["none"], start["syntax"], start["timeout"], start["kl"]) == (
        "before",
        0.25,
        0.75,
        0,
        None,
    )
    assert (arm["name"], arm["some"], arm["tokens"], arm["kl"]) == ("after", 0.375, 9, 2.5)
    assert (start["one"], arm["one"], arm["deaf"]) == (pytest.approx(4 / 6), 1, pytest.approx(2 / 6))


def test_partial_passes_leave_out_none_and_all(run: Facts) -> None:
    assert ch10_tests.partial(run, "start") == 0.375


def test_answers_that_read_nothing_are_shares_of_partial_passes(run: Facts) -> None:
    assert ch10_tests.blind_among_partial(run, "start") == 0.5
    assert ch10_tests.blind_among_partial(run, "arm-seed0") == pytest.approx(2 / 3)


def test_calls_are_counted_among_the_answers_that_pass(run: Facts) -> None:
    found = ch10_tests.part(run, ["arm-seed0"], [1, 2], "sorted")
    assert (found.before, found.after, found.calling) == (0.5, 0.5, 1)
    assert ch10_tests.part(run, ["arm-seed0"], [3], "sort").calling == 0


def test_what_tasks_make_of_a_gain_can_be_more_than_all_of_it(run: Facts) -> None:
    # Task 1: +50 points, task 2: -50, task 3: +50.
    assert ch10_tests.part(run, ["arm-seed0"], [1], "f").owed == pytest.approx(1)
    assert ch10_tests.part(run, ["arm-seed0"], [1, 3], "f").owed == pytest.approx(2)


def test_methods_are_calls_too(run: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [answer("start", 1, ONE, 1), answer("arm-seed0", 1, METHOD, 3), answer("arm-seed0", 1, SORT, 3)]
    monkeypatch.setattr(Facts, "samples", lambda _: rows)
    assert ch10_tests.part(run, ["arm-seed0"], [1], "sort").calling == 0.5


def test_tasks_solved_again_are_told_from_new_ones(run: Facts) -> None:
    assert ch10_tests.again(run, run, "arm-seed0") == (1, 1)
    assert ch10_tests.again(run, run, "start") == (2, 0)
