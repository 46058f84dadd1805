"""Which tasks GRPO may ask, and what a first pass leaves of them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import zstandard

from codelab.errors import UserError
from codelab.evaluate.engines import Asker
from codelab.sandbox import Pool
from codelab.tasks import enlarged, instructions, mbpp
from codelab.tasks.instructions import Instruction
from codelab.tasks.mbpp import Task, tasks_of_rows
from codelab.train import prompt_pool
from codelab.train.derived import check_apart
from codelab.train.grpo_recipe import GrpoRecipe
from codelab.train.sft import MIXED_UP

from ..evaluate.small import rows
from .grpo_world import values


def everything() -> list[Task]:
    return tasks_of_rows(enumerate(rows([11, 12, 13, 511, 512, 601, 602, 603, 704]), 1), "small")


def pair(name: str, *examples: str, text: str = "Give a number back.", body: str = "return n + 1") -> Instruction:
    return Instruction(text, f"def {name}(n):\n    {body}\n", name, "a/b/c.py", examples)


PAIRS = [
    pair("more", "assert more(1) == 2", "assert more(5) == 6", text="Add one to a number."),
    pair("one", "assert one(1) == 2"),
    pair("twice", "assert twice(1) == 2", "assert twice(1) == 2"),
    pair("run_11", "assert run_11(1) == 2", "assert run_11(2) == 3"),
    pair("Run11", "assert Run11(1) == 2", "assert Run11(2) == 3"),
    pair("words", "assert words(1) == 2", "assert words(2) == 3", text="Write function, number 12!"),
    pair("same", "assert same(1) == True", "assert same(2) == True"),
    pair("wrong", "assert wrong(1) == 2", "assert wrong(2) == 7"),
]


class FakeRun:
    """Takes what a run takes."""

    def __init__(self) -> None:
        self.tables: dict[str, Any] = {}

    def data(self, facts: Any) -> None:
        self.facts = facts

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.tables[name] = rows


def recipe(folder: Path, **prompts: Any) -> GrpoRecipe:
    changes: dict[str, Any] = {"prompts": {"length": 300} | prompts}
    if "validation" in prompts.get("splits", []):
        changes["watch"] = {"every": 5}
    return GrpoRecipe.model_validate(values(folder, **changes))


def test_the_pool_holds_no_task_of_the_test_split(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl.zst"
    lines = [json.dumps(asdict(one)) for one in PAIRS]
    path.write_bytes(zstandard.compress("".join(f"{line}\n" for line in lines).encode()))
    assert instructions.load(path) == PAIRS
    run = FakeRun()
    with Pool(1) as pool:
        tasks = prompt_pool.gather(
            recipe(tmp_path, splits=["train", "validation"], enlarged=str(path)), run, everything(), pool.judge
        )  # type: ignore[arg-type]
    assert [task.task_id for task in tasks] == [601, 603, 511, 512, enlarged.FIRST]
    assert not {task.task_id for task in tasks} & (set(mbpp.SPLITS["test"]) | MIXED_UP)
    reasons = {row["reason"]: row["pairs"] for row in run.tables["enlarged"]}
    assert reasons == {
        "too few examples": 2, "in the test split": 3, "one answer to every example": 1, "own code does not pass": 1,
    }  # fmt: skip
    assert run.facts.rows == 1


def test_a_pool_with_a_test_task_is_refused() -> None:
    tasks = everything()
    check_apart([tasks[3]], tasks)
    with pytest.raises(UserError, match="task 11 stands in the test split"):
        check_apart([tasks[0]], tasks)
    disguised = Task(enlarged.FIRST, tasks[1].text.upper(), "def f(): 0", tests=("assert f() == 0",))
    with pytest.raises(UserError, match="never trained on"):
        check_apart([disguised], tasks)


def row(task_id: int, outcome: str) -> dict[str, Any]:
    text = {"pass": "def run_601(n):\n    return 3\n", "syntax": "def (", "wrong": "def run_601(n):\n    return 4\n"}
    failure = {"pass": "none", "syntax": "syntax", "wrong": "wrong_value", "long": "prompt_too_long"}[outcome]
    return {
        "task_id": task_id, "text": text.get(outcome, ""), "failure": failure, "passed": outcome == "pass",
        "tests_passed": 3 * (outcome == "pass"), "tests_total": 3,
    }  # fmt: skip


OUTCOMES = {
    601: ["pass", "wrong", "wrong"],
    603: ["syntax", "syntax", "syntax"],
    511: ["syntax", "wrong", "wrong"],
    512: ["long", "long", "long"],
}


@pytest.mark.parametrize(
    ("keep", "repeats", "kept"),
    [("varied", 1, [601, 511]), ("solvable", 1, [601]), ("varied", 3, [601, 601, 601, 511])],
)
def test_only_what_varies_is_kept(tmp_path: Path, keep: str, repeats: int, kept: list[int]) -> None:
    chosen = {"samples": 3, "temperature": 1.0, "keep": keep, "repeats": repeats}
    settings = recipe(tmp_path, splits=["train", "validation"], filter=chosen)
    by_id = {task.task_id: task for task in everything()}
    # 511 is odd: its function is run_511, so that run_601 is no function that its tests call
    drawn = [row(task_id, outcome) for task_id, outcomes in OUTCOMES.items() for outcome in outcomes]
    stats = prompt_pool.measure(settings, [by_id[i] for i in OUTCOMES], drawn, Asker("docstring", []))
    assert [one.task.task_id for one in stats] == [601, 603, 511], "a prompt that does not fit is left out"
    pool = prompt_pool.choose(settings, stats)
    assert [task.task_id for task in pool] == kept
    whole = prompt_pool.summary(stats, pool)[-1]
    assert (whole["source"], whole["tasks"], whole["prompts"]) == ("all", 3, len(kept))
    assert whole["pass@1"] == pytest.approx(1 / 9)


def test_a_start_that_never_varies_is_an_error(tmp_path: Path) -> None:
    settings = recipe(tmp_path, filter={"samples": 3, "temperature": 1.0, "keep": "solvable"})
    stats = prompt_pool.measure(
        settings, [everything()[5]], [row(601, "wrong")] * 3, Asker("docstring", [])
    )  # fmt: skip
    with pytest.raises(UserError, match="none of 1 tasks is solvable"):
        prompt_pool.choose(settings, stats)


def test_chunks_ask_by_source(tmp_path: Path) -> None:
    settings = recipe(tmp_path, filter={"samples": 3, "temperature": 1.0, "keep": "varied"})
    tasks = [everything()[5], everything()[7], Task(enlarged.FIRST, "x", "def f(): 0", tests=("assert f() == 0",))]
    pieces = prompt_pool.chunks(settings, tasks)
    assert [(piece.split, len(piece.tasks), piece.n) for piece in pieces] == [("train", 2, 3), ("enlarged", 1, 3)]
    assert prompt_pool.chunks(recipe(tmp_path), tasks) == []
