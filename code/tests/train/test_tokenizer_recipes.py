"""The recipes that compare two tokenizers differ in the tokenizer alone and score the same text."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from codelab.train.pretrain import PretrainRecipe

RECIPES = Path(__file__).resolve().parents[3] / "recipes"
SAYS_WHICH = {"title", "tokens", "tokenizer", "output"}


def values(name: str) -> dict[str, Any]:
    raw = yaml.safe_load((RECIPES / f"pretrain-tokenizer-{name}.yaml").read_text())
    found = PretrainRecipe.model_validate(raw).model_dump(mode="json")
    return {key: value for key, value in found.items() if key != "hardware"}


def differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    return {key for key in one if one[key] != other[key]}


def test_runs_of_equal_seconds_differ_in_the_tokenizer_alone() -> None:
    ours, gpt2 = values("ours"), values("gpt2")
    assert differing(ours, gpt2) == SAYS_WHICH
    assert ours["schedule"]["unit"] == "seconds"


def test_runs_of_equal_text_differ_in_the_number_of_tokens_too_and_from_the_others_in_the_schedule() -> None:
    ours, gpt2 = values("ours-text"), values("gpt2-text")
    assert differing(ours, gpt2) == SAYS_WHICH | {"schedule"}
    assert differing(values("gpt2"), gpt2) == {"title", "output", "schedule"}
    for one in (ours, gpt2):
        assert one["schedule"] | {"total": 0} == values("ours")["schedule"] | {"total": 0, "unit": "tokens"}


@pytest.mark.parametrize("name", ["ours", "gpt2", "ours-text", "gpt2-text"])
def test_every_held_out_row_is_scored(name: str) -> None:
    longest = 1_700_795  # tokens that GPT-2's BPE makes of the held-out files
    recipe = values(name)
    assert recipe["evaluate_rows"] * recipe["shape"]["positions"] > longest


def test_the_text_of_both_is_equal_to_a_thousandth() -> None:
    folders = {name: RECIPES.parent / values(name)["tokens"] / "meta.json" for name in ("ours-text", "gpt2-text")}
    if not all(path.exists() for path in folders.values()):
        pytest.skip("the tokenised parts of the corpus are not on this machine")
    splits = {name: json.loads(path.read_text())["splits"] for name, path in folders.items()}
    read = [
        values(name)["schedule"]["total"] * split["train"]["bytes"] / split["train"]["tokens"]
        for name, split in splits.items()
    ]
    assert read == pytest.approx([120e6, 120e6], rel=1e-3)
    assert len({split["heldout"]["bytes"] for split in splits.values()}) == 1
