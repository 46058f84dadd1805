"""Where the arms of a sweep stood: means over the right steps, seeds averaged, differences as recorded."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import sweep
from codelab.errors import UserError
from codelab.records import Environment, Record
from codelab.records.files import to_csv
from codelab.records.schema import CodeFacts, Metric, RecipeFacts

ARMS = {
    "low": {"loss": ["sigmoid"], "beta": 0.1, "rate": 1e-5},
    "high": {"loss": ["ipo"], "beta": 0.5, "rate": 1e-5},
}
STEPS = 24


def rows(arm: str, seed: int) -> list[dict[str, Any]]:
    """A margin that grows by 1.5 + seed nats a step, all of it on the rejected side; looks at 0, 12 and 24."""
    beta = float(ARMS[arm]["beta"])  # type: ignore[arg-type]
    unit, slope = f"{arm}-seed{seed}", 1.5 + seed
    steps = [
        {"arm": unit, "step": step, "loss": 0.5, "learning_rate": 1e-6 * step, "rewards/chosen": 0.0,
         "rewards/rejected": -slope * step * beta, "rewards/margins": slope * step * beta, "rewards/accuracies": 0.5}
        for step in range(1, STEPS + 1)
    ]  # fmt: skip
    seen = [
        {"arm": unit, "step": step, "kl": step * (1.0 + seed), "kl_error": 0.1, "pass@1": 0.04, "pass@1_low": 0.0,
         "pass@1_high": 0.1}
        for step in (0, 12, 24)
    ]  # fmt: skip
    return [*steps[:12], *seen[:2], *steps[12:], seen[2]]


def score(value: float, low: float | None = 0.01, high: float | None = 0.05) -> Metric:
    return Metric(value=value, low=low, high=high, unit="share")


def made(folder: Path, seeds: list[int], metrics: dict[str, Metric]) -> Facts:
    folder.mkdir()
    (folder / "steps.csv").write_text(to_csv([row for arm in ARMS for seed in seeds for row in rows(arm, seed)]))
    return Facts(folder, Record(
        run="1", title="t", state="stopped", command=[], started="2026-11-23", finished="", seconds=9, seeds=seeds,
        code=CodeFacts(sha256="0"), metrics=metrics,
        recipe=RecipeFacts(name="r", kind="dpo", sha256="0", values={"arms": ARMS, "seeds": seeds}),
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
    ))  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Facts:
    cut = {f"{unit}.t0.6.hit_length_limit": Metric(value=value) for unit, value in
           (("start", 0.1), ("low-seed0", 0.9), ("low-seed0-early", 0.2), ("high-seed0", 0.3))}  # fmt: skip
    scores = {"start": 0.03, "low-seed0": 0.0, "low-seed0-early": 0.02, "high-seed0": 0.01}
    changes = {"low": score(-0.03, -0.04, -0.02), "low-early": score(-0.01, -0.0225, 0.005),
               "high": score(-0.02, -0.03, 0.0)}  # fmt: skip
    return made(
        tmp_path / "one",
        [0],
        cut
        | {f"{unit}.t0.6.pass@1": Metric(value=value) for unit, value in scores.items()}
        | {f"{arm}.t0.6.pass@1.difference": metric for arm, metric in changes.items()},
    )


@pytest.fixture
def pair(tmp_path: Path) -> Facts:
    cut = {f"low-seed{seed}.t0.6.hit_length_limit": Metric(value=0.2 * seed) for seed in (0, 1)}
    return made(
        tmp_path / "two", [0, 1], cut | {"low.t0.6.pass@1": score(0.04), "low.t0.6.pass@1.difference": score(0.02)}
    )


def test_the_course_is_a_mean_over_the_last_steps_and_over_seeds(run: Facts, pair: Facts) -> None:
    course = sweep.course(run, "low")
    assert list(course.index) == list(range(1, STEPS + 1))
    assert course.loc[1, "margin"] == pytest.approx(1.5)
    assert course.loc[2, "margin"] == pytest.approx(1.5 * 1.5), "fewer steps at first"
    assert course.loc[24, "margin"] == pytest.approx(1.5 * sum(range(13, 25)) / 12), "no step before the window"
    assert course.loc[24, "accuracy"] == 50
    assert sweep.course(pair, "low", width=1).loc[4, "rejected"] == pytest.approx(-4 * 2.0)


def test_at_takes_the_look_and_the_steps_before_it(run: Facts, pair: Facts) -> None:
    middle = sweep.at(run, "high", 12)
    assert [middle["step"], middle["kl"], middle["percent"]] == pytest.approx([12, 12, 4])
    assert middle["margin"] == pytest.approx(1.5 * 6.5)
    assert sweep.at(run, "high")["step"] == 24
    assert sweep.at(pair, "low")["kl"] == pytest.approx(24 * 1.5)


@pytest.mark.parametrize("step", [0, 13])
def test_there_is_no_look_where_nobody_looked(run: Facts, step: int) -> None:
    with pytest.raises(UserError, match=f"low: no look at step {step}"):
        sweep.at(run, "low", step)


def test_reached_is_the_first_step_of_that_margin(run: Facts) -> None:
    found = sweep.reached(run, "low", 1.5 * 6.5)
    assert found["step"] == 12
    assert found["chosen"] == 0
    assert found["rejected"] == pytest.approx(-1.5 * 6.5)
    with pytest.raises(UserError, match="low: the margin never reaches 1000"):
        sweep.reached(run, "low", 1000)


def test_a_row_is_the_model_of_the_record(run: Facts) -> None:
    end = sweep.row(run, "low")
    assert (end["name"], end["score"], end["cut"]) == ("β = 0.1", 0.0, 90)
    assert end["half"] == pytest.approx(10.986, abs=1e-3)
    assert (end["points"], end["ci"]) == (-3, "−4.00 to −2.00")
    early = sweep.row(run, "low", "kept", 12)
    assert (early["name"], early["score"], early["cut"], early["kl"]) == ("kept", 0.02, 20, 12)
    assert (early["points"], early["ci"]) == (-1, "−2.25 to +0.50"), "the early stop's, not the end's"
    start = sweep.row(run, "start", "Start")
    assert (start["name"], start["score"], start["kl"]) == ("Start", 0.03, 0)
    assert {start[key] for key in ("margin", "half", "points", "ci")} == {None}


def test_only_a_sigmoid_has_a_half_weight(run: Facts) -> None:
    assert sweep.row(run, "high")["half"] is None


def test_a_row_of_several_seeds_has_their_mean(pair: Facts) -> None:
    row = sweep.row(pair, "low")
    assert [row["score"], row["cut"]] == pytest.approx([0.04, 10])


def test_a_difference_without_interval_is_no_row(run: Facts) -> None:
    run.record.metrics["low.t0.6.pass@1.difference"] = score(0.0, None, None)
    with pytest.raises(UserError, match="no interval"):
        sweep.row(run, "low")
