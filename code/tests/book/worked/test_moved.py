"""Chapter 8's counts of samples pool the right models, keep to one setting and leave out what was never asked."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import moved
from codelab.errors import UserError
from codelab.records import Environment, Record
from codelab.records.schema import CodeFacts, RecipeFacts


def answer(model: str, task: int, passed: bool, **more: Any) -> dict[str, Any]:
    row = {"variant": model, "split": "test", "setting": "t0.6", "task_id": task, "passed": passed, "tokens": 10}
    row |= {"text": f"import re\ndef solve_{task}(x):\n  def inner(): ...", "finish": "eos", "detail": ""}
    return row | {"failure": "none" if passed else "wrong_value"} | more


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Facts:
    rows = [
        answer("start", 11, False), answer("start", 11, False, finish="length", tokens=40, failure="syntax"),
        answer("start", 12, True), answer("start", 12, False, failure="syntax"),
        answer("dpo-seed0", 11, True), answer("dpo-seed0", 12, True, finish="stop"),
        answer("dpo-seed1", 11, False), answer("dpo-seed1", 12, False),
        answer("start", 13, False, finish="too_long", tokens=0), answer("dpo-seed0", 13, False, finish="too_long"),
        answer("start", 12, True, setting="greedy"), answer("start", 12, True, split="train"),
        {"variant": "pair", "task_id": 12, "chosen": "…"},
    ]  # fmt: skip
    monkeypatch.setattr(Facts, "samples", lambda _: rows)
    return Facts(Path("results/r/1"), Record(
        run="1", title="t", state="ok", command=[], started="2026-11-23", finished="", seconds=9, seeds=[0],
        code=CodeFacts(sha256="0"),
        recipe=RecipeFacts(name="r", kind="dpo", sha256="0", values={"questions": {"split": "test"}}),
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
    ))  # fmt: skip


def test_tasks_show_the_share_of_samples_that_pass_before_and_after(run: Facts) -> None:
    frame = moved.tasks(run, ["start"], ["dpo-seed0", "dpo-seed1"])
    assert frame[["task", "before", "after", "change"]].to_numpy().tolist() == [
        [11, 0, 50, 50], [12, 50, 50, 0], [13, 0, 0, 0],
    ]  # fmt: skip
    assert frame["function"].tolist() == ["solve_11", "solve_12", None]
    with pytest.raises(UserError, match="no samples of ipo-seed0"):
        moved.tasks(run, ["start"], ["ipo-seed0"])


def test_endings_are_shares_of_what_was_answered(run: Facts) -> None:
    start, trained = moved.endings(run, {"fine-tuned": ["start"], "DPO": ["dpo-seed0", "dpo-seed1"]})
    assert (start["own"], start["rule"], start["limit"], start["tokens"]) == (75, 0, 25, 17.5)
    assert start["unparsed"] == pytest.approx(100 / 3), "a program that was cut is no sign of what it can parse"
    assert (trained["own"], trained["rule"], trained["unparsed"]) == (75, 25, 0)
    with pytest.raises(UserError, match="no samples of base"):
        moved.endings(run, {"base": ["base"]})


def test_the_first_passing_sample_of_a_task_is_shown(run: Facts) -> None:
    text = moved.passing(run, ["dpo-seed0", "dpo-seed1"], 12)
    assert text.startswith("Task 12, passes:")
    assert "def solve_12(x):" in text
    with pytest.raises(UserError, match="task 11"):
        moved.passing(run, ["start"], 11)
