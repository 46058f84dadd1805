"""What recipes of kind ``adapt`` refuse, and which places answer questions."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from codelab.train.adapt_recipe import AdaptRecipe

from .test_adapt import PAIRS, TARGETS, values


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"reference": "none"}, "no arm"),
        ({"model": "scratch:gpt2"}, "nothing to forget"),
        ({"rows_per_pass": 3}, "multiple"),
        ({"k": [5]}, "enough|as many samples"),
        ({"arms": {"start": {"stages": [PAIRS]}}, "reference": "start"}, "start"),
        ({"arms": {"full": {"stages": [{**PAIRS, "share": 0.5}]}}}, "sum to 1"),
        ({"arms": {"full": {"stages": [PAIRS], "kl": 1, "adapter": {"targets": TARGETS}}}}, "remedies"),
        ({"arms": {"full": {"stages": [PAIRS], "interpolate": [1.0]}}}, "between 0 and 1"),
        ({"arms": {"full": {"stages": [PAIRS], "interpolate": [0.5], "judged": [0.4]}}}, "judged"),
        ({"pairs": {"a": {"first": "full", "second": "none"}}}, "no place 'none'"),
        ({"pairs": {"a": {"first": "full@0.4", "second": "full"}}}, "no place 'full@0.4'"),
        ({"pairs": {"a": {"first": "full", "second": "lora@gain"}}}, "no place 'lora@gain'"),
        ({"pairs": {"a": {"first": "replay@gain", "second": "full"}}}, "no place 'replay@gain'"),
        ({"pairs": {"a": {"first": "full", "second": "kl", "passing": True}}}, "'kl' answers no questions"),
        ({"pairs": {"a": {"first": "full", "second": "lora@0.5", "passing": True}}}, "'lora@0.5' answers no"),
        ({"pairs": {"a": {"first": "full", "second": "full"}}}, "two places"),
    ],
)
def test_impossible_recipes_are_refused(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        AdaptRecipe.model_validate(values(tmp_path) | change)


def test_the_start_answers_only_where_an_arm_does(tmp_path: Path) -> None:
    given = values(tmp_path)
    assert AdaptRecipe.model_validate(given).answers("start")
    silent = {name: {**arm, "judged": False} for name, arm in given["arms"].items()}
    assert not AdaptRecipe.model_validate(given | {"arms": silent}).answers("start")
    over = {"a": {"first": "start", "second": "full", "passing": True}}
    with pytest.raises(ValidationError, match="'start' answers no questions"):
        AdaptRecipe.model_validate(given | {"arms": silent, "pairs": over})
