"""Chapter 10's frames keep the records' numbers and put them in the right row."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import ch10
from codelab.records import Environment, Record
from codelab.records.files import to_csv
from codelab.records.schema import CodeFacts, RecipeFacts


def step(unit: str, number: int, passes: float) -> dict[str, Any]:
    return {
        "arm": unit, "step": number, "loss": 0.1, "reward": 0.1 + passes, "rung_passes": passes,
        "rung_syntax": 0.75 - passes, "rung_some": 0.25, "rung_runs": 0.0, "rung_defines": 0.0, "rung_parses": 0.0,
        "rung_nothing": 0.0, "rung_fault": 0.0, "seconds": 60.0 * number, "step_seconds": 6.0,
    }  # fmt: skip


def look(unit: str, number: int, share: float) -> dict[str, Any]:
    return {"arm": unit, "step": number, "kl": 0.5 * number, "pass@1": share, "seconds": 60.0 * number}


@pytest.fixture
def grpo(tmp_path: Path) -> Facts:
    rows = []
    for unit in ("grpo-seed0", "grpo-seed1", "no-kl-seed0", "no-kl-seed1"):
        rows += [look(unit, 0, 0.02), step(unit, 1, 0.1 if unit.endswith("0") else 0.3), look(unit, 2, 0.04)]
    (tmp_path / "steps.csv").write_text(to_csv(rows))
    values = {"arms": {"grpo": {}, "no-kl": {}}, "seeds": [0, 1]}
    return Facts(tmp_path, Record(
        run="1", title="t", state="ok", command=[], started="2026-11-22", finished="", seconds=90, seeds=[0, 1],
        code=CodeFacts(sha256="0"), recipe=RecipeFacts(name="r", kind="k", sha256="0", values=values),
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
    ))  # fmt: skip


def test_steps_and_looks_are_told_apart(grpo: Facts) -> None:
    frame = ch10.steps(grpo, ["no-kl", "grpo"])
    assert frame[["arm", "seed", "minutes"]].to_numpy().tolist() == [
        ["no-kl", 0, 1.0], ["no-kl", 1, 1.0], ["grpo", 0, 1.0], ["grpo", 1, 1.0],
    ]  # fmt: skip
    assert "kl" not in frame
    assert "loss" not in ch10.looks(grpo)
    assert ch10.looks(grpo, ["grpo"])[["step", "percent"]].to_numpy().tolist() == [[0, 2], [2, 4], [0, 2], [2, 4]]


def test_the_ladder_is_a_whole_from_the_top_and_a_mean_over_seeds(grpo: Facts) -> None:
    frame = ch10.ladder(grpo, "grpo")
    assert frame["rung"].tolist() == ["passes", "some tests", "syntax error"]
    assert frame["percent"].tolist() == pytest.approx([20, 25, 55])
