"""The kind ``signal``: records in, chances and shares out; its recipe says what question 10's recipes say."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from codelab.errors import UserError
from codelab.evaluate.experiment import RECIPE as EVALUATE
from codelab.records import DataFacts, Environment, Record, open_run, read_record
from codelab.tasks import mbpp
from codelab.tasks.mbpp import Task
from codelab.train import signal
from codelab.train.rewards import Weights

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
PLACE = Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={})
TASKS = [Task(number, "t", "def f(x):\n    return x\n", tests=("assert f(1) == 1", "assert f(2) == 2"))
         for number in (601, 602)]  # fmt: skip
PASS = {"text": "def f(x):\n    return x\n", "passed": True, "failure": "none", "tests_passed": 2}
SOME = {"text": "def f(x):\n    return 1\n", "passed": False, "failure": "wrong_value", "tests_passed": 1}
RUNS = {"text": "def f(x):\n    return 0\n", "passed": False, "failure": "wrong_value", "tests_passed": 0}
BROKEN = {"text": "def f(", "passed": False, "failure": "syntax", "tests_passed": 0}


@pytest.fixture(autouse=True)
def two_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mbpp, "load", lambda: TASKS)
    monkeypatch.setattr(mbpp, "facts", lambda: DataFacts(name="mbpp", source="file"))


def answers(results: Path) -> None:
    """An evaluation of two tasks: the first passes once in four, the second never differs."""
    values = {"kind": "evaluate", "title": "t", "hardware": {"minutes": 1}, "answers": {"model": "pypi:smollm2-135m"},
              "questions": {"prompt": "docstring"}, "samples": 4, "k": [1], "temperatures": [0.8],
              "max_new_tokens": 8}  # fmt: skip
    run = open_run(EVALUATE.model_validate(values), "asked", results, [])
    run.environment(PLACE, None)
    other = {"split": "test", "setting": "t0.8", "tests_total": 2}
    run.sample(**other, task_id=11, index=0, **RUNS)
    rows = [(601, PASS), (601, SOME), (601, RUNS), (601, BROKEN), *[(602, RUNS)] * 4]
    for index, (task, row) in enumerate(rows):
        run.sample(split="train", setting="t0.8", tests_total=2, task_id=task, index=index % 4, **row)
    run.sample(
        split="train", setting="t0.8", tests_total=2, task_id=602, index=4, **RUNS | {"failure": "prompt_too_long"}
    )
    run.finish()


def recipe(**changes: Any) -> signal.SignalRecipe:
    values = {
        "kind": "signal", "title": "t", "hardware": {"minutes": 1}, "groups": [2, 4, 8],
        "sources": {"mine": {"record": "asked", "split": "train", "setting": "t0.8"}},
        "rewards": {"graded": {"parses": 0.1, "tests": 0.4, "passes": 0.5}, "pass-only": {"passes": 1.0}},
        "filter": {"samples": 2, "temperature": 1.0, "keep": "varied", "repeats": 3},
    }  # fmt: skip
    return signal.RECIPE.model_validate(values | changes)


def counted(results: Path, wanted: signal.SignalRecipe) -> Record:
    run = open_run(wanted, "signal", results, [])
    run.environment(PLACE, None)
    signal.run(wanted, run)
    return read_record(run.finish())


def test_shares_of_two_tasks_by_hand(tmp_path: Path) -> None:
    answers(tmp_path)
    found = counted(tmp_path, recipe())
    metric = {name: one.value for name, one in found.metrics.items()}
    assert metric["mine.pass@1"] == pytest.approx(1 / 8)
    # Of task 601's six pairs three hold the pass, and three differ in the graded reward alone; task 602 is flat.
    assert metric["mine.pass-only.g2.flat"] == pytest.approx((3 / 6 + 1) / 2)
    assert metric["mine.graded.g2.flat"] == pytest.approx((0 + 1) / 2)
    assert metric["mine.graded.g2.form"] == pytest.approx(1 / 6 / 2)
    assert metric["mine.graded.g2.varied.tests"] == pytest.approx(2 / 6)
    assert metric["mine.pass-only.g4.solving"] == pytest.approx(1 / 2)
    # Rewards 1, 0.3, 0.1 and 0: squared differences of the pairs with the pass, over those of all pairs.
    with_pass, others = 0.7**2 + 0.9**2 + 1, 0.2**2 + 0.3**2 + 0.1**2
    assert metric["mine.graded.g2.variance.solving"] == pytest.approx(with_pass / (with_pass + others))
    assert sum(metric[f"mine.graded.g2.advantage.{name}"] for name in ("form", "tests", "solving")) == pytest.approx(1)
    assert {row["group"] for row in found.tables["groups"]} == {2, 4}  # no task has eight completions
    assert not any("form" in name for name in metric if "pass-only" in name and ".pool." not in name)
    rungs = found.tables["rungs"][0]
    assert (rungs["tasks"], rungs["completions"], rungs["rung_runs"], rungs["rung_some"]) == (2, 8, 5 / 8, 1 / 8)
    assert [data.name for data in found.data] == ["mbpp", "asked"]


def test_the_pool_by_hand(tmp_path: Path) -> None:
    answers(tmp_path)
    found = counted(tmp_path, recipe())
    pool = {row["reward"]: row for row in found.tables["pool"]}
    # Pass-only: half of 601's pairs hold the pass, and then the other pair is flat; kept tasks stand there three times.
    assert (pool["pass-only"]["kept"], pool["pass-only"]["prompts"]) == (pytest.approx(0.5), pytest.approx(1.5))
    assert pool["pass-only"]["flat"] == pytest.approx(1)
    # Graded: every pair differs, so 601 is kept; half of the time it solved and stands three times.
    assert (pool["graded"]["kept"], pool["graded"]["prompts"]) == (pytest.approx(1), pytest.approx(2))
    assert pool["graded"]["solving"] == pytest.approx(0.5 / 2)


def test_only_solvable_tasks_may_be_kept(tmp_path: Path) -> None:
    answers(tmp_path)
    chosen = {"samples": 2, "temperature": 1.0, "keep": "solvable"}
    row = counted(tmp_path, recipe(filter=chosen, groups=[2])).tables["pool"][0]
    assert (row["reward"], row["kept"], row["prompts"], row["solving"]) == ("graded", 0.5, 0.5, 0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"record": "gone"}, "gone: no successful run"),
        ({"setting": "t0.6"}, "no completion with"),
        ({"split": "test"}, "task 11 is neither"),
    ],
)
def test_what_is_missing_is_one_line(tmp_path: Path, source: dict[str, str], message: str) -> None:
    answers(tmp_path)
    mine = {"record": "asked", "split": "train", "setting": "t0.8"} | source
    with pytest.raises(UserError, match=message):
        counted(tmp_path, recipe(sources={"mine": mine}))


def test_groups_that_are_all_too_large_are_refused(tmp_path: Path) -> None:
    answers(tmp_path)
    with pytest.raises(UserError, match="fewer than every group"):
        counted(tmp_path, recipe(groups=[8]))


def test_the_recipe_says_what_the_recipes_of_question_10_say() -> None:
    def values(name: str) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
        return found

    mine, grpo = signal.RECIPE.model_validate(values("signal-grpo")), values("q10-grpo-gpt2")
    assert mine.rewards["graded"] == Weights(**grpo["rewards"]["graded"])
    assert mine.rewards["pass-only"] == Weights(**values("q10-ablations-gpt2")["rewards"]["pass"])
    assert mine.filter is not None
    assert mine.filter.model_dump() == grpo["prompts"]["filter"]
    assert grpo["arms"]["grpo"]["group"] in mine.groups
    assert all((RECIPES / f"{one.record}.yaml").exists() or (RECIPES.parent / "results" / one.record).exists()
               for one in mine.sources.values())  # fmt: skip
