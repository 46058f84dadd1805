"""The tables of a step's speed, on a record that the benchmark's own code wrote about made-up rounds."""

from pathlib import Path
from typing import Any

import pytest

from bench.pretraining import PretrainingBench, note, summary
from codelab.book.facts import Facts
from codelab.book.worked import speed
from codelab.errors import UserError
from codelab.records import Environment, Hardware, Metric, Phase, Recipe, Run, open_run, read_record

TOKENS = 1000
# Seconds of each round: the second variant is twice as fast in all, and four thirds to four times as fast in a round.
SECONDS = {"slow": [4.0, 4.0, 4.0], "fast": [1.0, 2.0, 3.0]}
NAMES = {"slow": "Slow", "fast": "Fast", "broken": "Broken"}


def opened(recipe: Recipe, name: str, folder: Path) -> Run:
    run = open_run(recipe, name, folder, [])
    run.environment(Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}), None)
    return run


@pytest.fixture
def bench(tmp_path: Path) -> Facts:
    recipe = PretrainingBench.model_validate(
        {
            "kind": "bench-pretraining", "title": "t", "hardware": {"minutes": 1}, "pretrain": "p",
            "variants": [{"name": name} for name in NAMES],
        }
    )  # fmt: skip
    run = opened(recipe, "bench-tiny", tmp_path)
    rounds: list[dict[str, Any]] = [
        {"variant": name, "round": number, "tokens": TOKENS, "seconds": seconds}
        for name, every in SECONDS.items() for number, seconds in enumerate(every)
    ]  # fmt: skip
    for row in rounds:
        run.step(**row)
    facts: dict[str, dict[str, Any]] = {"slow": {"loss": 2.5}, "broken": {"failed": "build: no answer"}}
    rows = summary(recipe, rounds, facts)
    run.table("variants", rows)
    for row in rows:
        if row["rounds"]:
            note(run, row)
    folder = run.finish()
    return Facts(folder, read_record(folder))


def test_every_variant_is_a_row_and_what_it_lacks_is_none(bench: Facts) -> None:
    slow, fast, broken = speed.variants(bench, NAMES)
    assert (slow["name"], slow["rounds"], slow["loss"], slow["times"], slow["failed"]) == ("Slow", 3, 2.5, 1.0, None)
    assert (fast["tokens_per_second"], fast["least"], fast["most"]) == pytest.approx((500, 1000 / 3, 1000))
    assert fast["times"] == pytest.approx(2)
    assert (fast["loss"], fast["mfu"], fast["gpu_allocated"]) == (None, None, None)
    assert (broken["failed"], broken["rounds"], broken["tokens_per_second"]) == ("build: no answer", 0, None)
    with pytest.raises(UserError, match="variant 'fast' was given no name"):
        speed.variants(bench, {"slow": "Slow", "broken": "Broken"})


def test_a_change_is_over_all_rounds_and_its_ends_are_single_rounds(bench: Facts) -> None:
    (row,) = speed.changes(bench, [("quicker", "fast", "slow")])
    assert (row["name"], row["rounds"]) == ("quicker", 3)
    assert (row["value"], row["low"], row["high"]) == pytest.approx((100, 100 / 3, 300))
    with pytest.raises(UserError, match="broken and slow have no round in common"):
        speed.changes(bench, [("x", "broken", "slow")])


def test_the_projection_is_tokens_over_the_rate_beside_the_device_time_taken(bench: Facts, tmp_path: Path) -> None:
    run = opened(Recipe(kind="pretrain", title="t", hardware=Hardware(minutes=1)), "pretrain-tiny", tmp_path / "more")
    run.metric("tokens", 60_000)
    run.metric("devices", 2)
    run.phase(Phase(name="train", seconds=90.0))
    folder = run.finish()
    trained = Facts(folder, read_record(folder))
    found = speed.projected(trained, bench, "fast")
    assert found == pytest.approx({"seconds": 120, "low": 60, "high": 180, "recorded": 180})
    with pytest.raises(UserError, match="no metric 'broken"):
        speed.projected(trained, bench, "broken")
    bench.record.metrics["bare.tokens_per_second"] = Metric(value=1.0)
    with pytest.raises(UserError, match="no least and most"):
        speed.projected(trained, bench, "bare")
    del trained.record.metrics["tokens"]
    with pytest.raises(UserError, match="no metric 'tokens'"):
        speed.projected(trained, bench, "fast")


def trained(folder: Path, name: str, devices: int, seconds: list[float], rows: int = 8) -> Facts:
    """A run that took so long for each of its windows; ``rows`` stands for its settings."""
    recipe = Recipe(kind="pretrain", title="t", seeds=(rows,), hardware=Hardware(minutes=1))
    run = opened(recipe, name, folder)
    spent = 0.0
    for number in range(speed.WINDOW * len(seconds)):
        spent += seconds[number // speed.WINDOW] / speed.WINDOW
        run.step(step=number + 1, tokens=(number + 1) * TOKENS, seconds=spent)
    run.metric("devices", devices)
    done = run.finish()
    return Facts(done, read_record(done))


def test_a_second_gpu_is_held_against_the_first_window_by_window_without_the_first(tmp_path: Path) -> None:
    # 10,000 tokens a window: 1,000 tokens a second on one device, 1,600 on two; the first window would spoil both
    one = trained(tmp_path / "one", "s", 1, [99.0, 8.0, 12.0, 10.0, 10.0])
    two = trained(tmp_path / "two", "s", 2, [1.0, 6.25, 6.25, 6.25])
    old = trained(tmp_path / "old", "s", 1, [1.0] * 5)
    found = speed.scaling([old, one, two])
    assert found is not None
    rows, gain = found
    assert speed.by_devices([old, two, one]) == {1: one, 2: two}
    assert [row["devices"] for row in rows] == [1, 2]
    assert [row["windows"] for row in rows] == [4, 3]
    assert [row["tokens_per_second"] for row in rows] == pytest.approx([1000, 1600])
    assert [row["device_rate"] for row in rows] == pytest.approx([1000, 800])
    assert 10_000 / 12 < rows[0]["low"] < 1000 < rows[0]["high"] < 10_000 / 8
    assert (rows[1]["low"], rows[1]["high"]) == pytest.approx((1600, 1600))
    assert (gain["times"], gain["efficiency"]) == pytest.approx((1.6, 0.8))
    assert (gain["low"], gain["high"]) == pytest.approx((800 / rows[0]["high"], 800 / rows[0]["low"]), rel=1e-3)
    assert rows[0]["mfu"] is None


def test_no_scaling_without_both_runs_alike(tmp_path: Path) -> None:
    one, two = trained(tmp_path / "one", "s", 1, [1.0] * 4), trained(tmp_path / "two", "s", 2, [1.0] * 4)
    assert speed.scaling([]) is None
    assert speed.scaling([one]) is None
    two.record.state = "failed"
    assert speed.scaling([one, two]) is None
    with pytest.raises(UserError, match="other settings"):
        speed.scaling([one, trained(tmp_path / "more", "s", 2, [1.0] * 4, rows=9)])
    with pytest.raises(UserError, match="30 steps; expected at least 40"):
        speed.scaling([one, trained(tmp_path / "short", "s", 2, [1.0] * 3)])
