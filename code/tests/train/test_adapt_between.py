"""Arms against one another: paired differences, ratios of sums, seeds, interpolation at the same gain."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codelab.train import adapt_between
from codelab.train.adapt_recipe import AdaptRecipe

ROWS, TASKS = 24, 30
SCALE = {"text": 0.5, "old": 2.0}
SIZES = [10 + 7 * (i % 5) for i in range(ROWS)]
STAGES = {"stages": [{"data": "pairs", "rate": 0.001}]}


def recipe(pairs: dict[str, Any], seeds: tuple[int, ...] = (0, 1)) -> AdaptRecipe:
    return AdaptRecipe.model_validate({
        "kind": "adapt", "title": "Pairs", "seeds": seeds, "hardware": {"minutes": 1}, "model": "hub:a/b", "text": "t",
        "old": "o", "reference": "full", "budget": {"unit": "steps", "total": 1}, "k": [1], "max_new_tokens": 8,
        "questions": {"source": str(Path("mbpp.jsonl")), "split": "test", "prompt": "docstring"}, "samples": 2,
        "arms": {"full": STAGES | {"interpolate": [0.5]}, "other": STAGES, "third": STAGES | {"judged": False}},
        "pairs": pairs,
    })  # fmt: skip


def point(arm: str, seed: int, weight: float, fall: float, rise: float, *, right: int = 3) -> dict[str, Any]:
    """A point whose completions lose ``fall`` nats a byte, and whose old text rises by ``rise`` nats, with noise."""
    noise = np.random.default_rng([seed, len(arm), int(10 * weight)]).normal(0, 0.01, (ROWS, 2))
    noise -= noise.mean()  # exact means, so that expected differences can be written down
    base = np.linspace(1, 3, ROWS)[:, None]
    name = "start" if arm == "start" else f"{arm}-seed{seed}" + ("" if weight == 1 else f"@{weight:g}")
    return {
        "name": name, "arm": arm, "seed": seed, "weight": weight, "completion_bytes": SIZES,
        "completions": [size * (1 - fall) for size in SIZES],
        "text": (base + noise).tolist(), "old": (base + rise + noise).tolist(),
        "probes": [{"id": str(i), "kind": kind, "form": form, "right": int(i < right)} for i in range(8)
                   for kind, form in (("sum", "plain"), ("capital", "plain"), ("capital", "shots"))],
    }  # fmt: skip


START = point("start", 0, 0.0, 0.0, 0.0)


def answers(passed: int) -> list[dict[str, Any]]:
    return [{"task_id": task, "passed": task < passed and i == 0} for task in range(TASKS) for i in range(2)]


def table(pairs: dict[str, Any], points: list[dict[str, Any]], samples: Any = None) -> dict[tuple[str, str], Any]:
    found = adapt_between.rows(recipe(pairs), [START, *points], samples or {}, SCALE)
    return {(row["pair"], row["quantity"]): row for row in found}


POINTS = [
    point("full", 0, 1.0, 0.50, 0.30), point("full", 1, 1.0, 0.60, 0.40),
    point("other", 0, 1.0, 0.40, 0.10, right=7), point("other", 1, 1.0, 0.40, 0.10, right=7),
]  # fmt: skip


def test_seeds_are_averaged_row_by_row_and_their_spread_stands_beside() -> None:
    found = table({"p": {"first": "full", "second": "other"}}, POINTS)
    old = found["p", "old_bits"]
    assert old["difference"] == pytest.approx(2.0 * (0.10 - 0.35))
    assert (old["seeds_least"], old["seeds_most"]) == pytest.approx((-0.6, -0.4))
    # Rows differ by 2 nats from each other and by a hundredth between arms: only pairing gives so short an interval.
    assert old["low"] < old["difference"] < old["high"] < old["low"] + 0.04
    assert (old["n"], old["seeds"], old["unit"], old["verdict"]) == (ROWS, 2, "bits/byte", "better")
    assert found["p", "text_bits"]["verdict"] == "no difference shown"
    assert found["p", "probes.capital.shots"]["difference"] == pytest.approx(0.5)
    assert (found["p", "probes"]["n"], found["p", "probes"]["verdict"]) == (16, "better")
    assert not [key for key in found if key[1].startswith("pass@")]


def test_gain_is_a_ratio_of_sums_whose_sizes_are_no_noise() -> None:
    gain = table({"p": {"first": "full", "second": "other"}}, POINTS)["p", "completion_gain"]
    assert gain["first_value"] == pytest.approx(0.55 / math.log(2))
    # Every completion loses the same a byte: long ones are no evidence of spread, so that the interval is empty.
    assert (gain["low"], gain["high"]) == pytest.approx((-0.15 / math.log(2),) * 2)
    assert gain["verdict"] == "worse"


def test_tasks_are_compared_where_both_answer_and_the_pair_asks() -> None:
    samples = {name: answers(n) for name, n in (("start", 5), ("full-seed0", 8), ("full-seed1", 8),
                                                ("other-seed0", 28), ("other-seed1", 30))}  # fmt: skip
    third = [point("third", seed, 1.0, 0.1, 0.1) for seed in (0, 1)]
    pairs = {"asked": {"first": "full", "second": "other", "passing": True},
             "open": {"first": "start", "second": "full"},
             "not": {"first": "full", "second": "other", "passing": False},
             "mute": {"first": "full", "second": "third"}}  # fmt: skip
    found = table(pairs, POINTS + third, samples)
    assert {pair for pair, key in found if key == "pass@1"} == {"asked", "open"}
    asked = found["asked", "pass@1"]
    assert asked["difference"] == pytest.approx(21 / 60)
    assert (asked["n"], asked["unit"], asked["verdict"]) == (TASKS, "share", "better")
    assert (asked["seeds_least"], asked["seeds_most"]) == pytest.approx((20 / 60, 22 / 60))
    assert found["open", "pass@1"]["seeds"] == 2  # the start, measured once, is paired with each seed


def test_without_pairs_every_arm_is_held_against_the_reference_as_far_as_it_ran() -> None:
    found = table({}, [one for one in POINTS if one["name"] != "other-seed1"])
    assert {pair for pair, _ in found} == {"other-over-full"}
    row = found["other-over-full", "old_bits"]
    assert (row["first"], row["second"], row["seeds"], row["seeds_least"]) == ("full", "other", 1, None)
    assert row["difference"] == pytest.approx(2.0 * (0.10 - 0.30))


def test_interpolation_is_taken_at_the_other_arms_own_gain() -> None:
    half = [point("full", 0, 0.5, 0.45, 0.05), point("full", 1, 0.5, 0.30, 0.05)]
    found = table({"p": {"first": "full@gain", "second": "other"}}, POINTS + half)
    assert {key for _, key in found} == {"old_bits", "text_bits"}
    # Seed 0: 0.40 of the way to 0.45, from the start; seed 1: a third of the way from the half to the whole.
    first = [0.05 * 0.40 / 0.45, 0.05 + 0.35 / 3]
    old = found["p", "old_bits"]
    assert old["difference"] == pytest.approx(2.0 * (0.10 - sum(first) / 2))
    apart = sorted(2.0 * (0.10 - one) for one in first)
    assert (old["seeds_least"], old["seeds_most"]) == pytest.approx(tuple(apart))


def test_a_gain_that_no_interpolation_reaches_leaves_the_seed_out() -> None:
    more = [point("other", 0, 1.0, 0.40, 0.1), point("other", 1, 1.0, 0.70, 0.1)]
    found = table({"p": {"first": "full@gain", "second": "other"}}, [*POINTS[:2], *more])
    assert found["p", "old_bits"]["seeds"] == 1
    beyond = [point("other", seed, 1.0, 0.70, 0.1) for seed in (0, 1)]
    assert table({"p": {"first": "full@gain", "second": "other"}}, [*POINTS[:2], *beyond]) == {}


def test_less_weight_that_gains_more_is_taken_at_its_least_forgetting() -> None:
    half = [point("full", seed, 0.5, 0.80, 0.1) for seed in (0, 1)]
    found = table({"p": {"first": "full@gain", "second": "other"}}, POINTS + half)
    assert found["p", "old_bits"]["difference"] == pytest.approx(2.0 * (0.10 - 0.1 * 0.40 / 0.80))


def test_weights_that_answer_may_be_named() -> None:
    arms = {"full": STAGES | {"interpolate": [0.2, 0.4], "judged": [0.4, 1.0]}, "other": STAGES | {"judged": False}}
    one = AdaptRecipe.model_validate(recipe({}).model_dump() | {"arms": arms})
    assert [one.arms["full"].answers(weight) for weight in (0.2, 0.4, 1.0)] == [False, True, True]
    assert [one.answers(place) for place in ("start", "full", "full@0.4", "full@0.2", "full@gain", "other")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip
