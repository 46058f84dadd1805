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
