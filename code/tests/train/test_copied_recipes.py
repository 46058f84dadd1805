"""Recipes that are another one with little changed: what differs, and that the rest stays the same."""

from pathlib import Path
from typing import Any

import pytest

from codelab.cli.registry import load

RECIPES = Path(__file__).resolve().parents[3] / "recipes"


def values(name: str) -> dict[str, Any]:
    found = load(RECIPES / f"{name}.yaml").recipe.model_dump(mode="json")
    return {key: value for key, value in found.items() if key != "hardware"}


@pytest.mark.parametrize(
    ("copy", "original", "differs"),
    [
        ("sft-smollm2-both", "sft-gpt2", {"title", "model", "output"}),
        ("q8-dpo-chosen-gpt2", "q8-dpo-likelihood-gpt2", {"title", "arms"}),
        (
            "pretrain-scaling",
            "pretrain-gpt2",
            {"title", "tokens", "output", "schedule", "evaluate_every", "evaluate_rows", "checkpoint_every"},
        ),
    ],
)
def test_only_what_is_named_differs(copy: str, original: str, differs: set[str]) -> None:
    one, other = values(copy), values(original)
    assert {key for key in one.keys() | other.keys() if one.get(key) != other.get(key)} == differs


def test_the_minute_of_training_has_the_original_schedule_in_short_and_looks_once() -> None:
    short, whole = values("pretrain-scaling"), values("pretrain-gpt2")
    assert short["schedule"] | {"total": 0} == whole["schedule"] | {"total": 0}
    assert short["evaluate_every"] > short["schedule"]["total"] * 10, "no look at the held-out text while it trains"
    assert short["evaluate_rows"] % (2 * short["rows_per_pass"]) == 0, "full passes alone, on one device and on two"
