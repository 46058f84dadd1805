"""Arms in the chapters' words: every arm of the recipes has a name, and rows keep their order and their numbers."""

from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
import yaml

from codelab.book.worked import adapted

RECIPES = Path(__file__).parents[4] / "recipes"


class Record:
    """As much of a run as these functions read."""

    def __init__(self, **tables: list[dict[str, Any]]) -> None:
        self.tables = tables

    def frame(self, name: str) -> pd.DataFrame:
        return pd.DataFrame(self.tables[name])


def _point(arm: str, seed: int, weight: float, gain: float, rise: float) -> dict[str, Any]:
    return {"arm": arm, "family": arm, "seed": seed, "weight": weight, "gain": gain, "old_rise": rise}


def _arm(arm: str, rise: float) -> dict[str, Any]:
    values = {"gain": 0.9, "old_rise": rise, "pass@1": 0.1}
    ends = {f"{key}_{end}": value for key, value in values.items() for end in ("least", "most")}
    return {"arm": arm, "family": arm, "seeds": 2, **values, **ends}


POINTS = [_point("full", seed, 1.0, 1.0, 0.3) for seed in (0, 1)]
PROBES = [
    {"arm": "full", "name": f"full-seed{seed}", "weight": 1.0, "kind": "capital", "form": "chat", "value": value}
    for seed, value in enumerate((0.5, 0.6))
]


def _ruled(arm: str, difference: float, seeds: int = 2) -> dict[str, Any]:
    spread = {"low": difference - 0.01, "high": difference + 0.01}
    return {"pair": f"{arm}-over-interpolation", "quantity": "old_bits", "unit": "bits/byte", "difference": difference,
            "seeds": seeds, **spread, "seeds_least": spread["low"], "seeds_most": spread["high"]}  # fmt: skip


ARMS = [_arm("start", 0), *(_arm(arm, 0.2) for arm in ("full", "replay-01", "replay-05", "kl-05", "kl-20", "lora-4"))]
for row in ARMS:
    row["family"] = row["arm"].partition("-")[0]
BETWEEN = [_ruled("replay-01", 0.1), _ruled("replay-05", -0.2), _ruled("kl-05", 0.2), _ruled("kl-20", 0.2, seeds=1)]
RUN: Any = Record(probes=PROBES, arms=ARMS, between=BETWEEN)


@pytest.mark.parametrize(
    ("recipes", "names"),
    [
        (("q1-adapt", "q1-adapt-cpu"), adapted.CONTINUED),
        (("q2-quality", "q2-quality-cpu"), adapted.TUNED),
        (("q6-forgetting", "q6-forgetting-cpu"), adapted.REMEDIES),
    ],
)
def test_every_arm_of_the_recipes_has_a_name_and_no_name_is_idle(recipes: list[str], names: dict[str, str]) -> None:
    arms = {arm for recipe in recipes for arm in yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())["arms"]}
    assert arms == set(names) - {"start"}
    assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(
    ("recipe", "names"),
    [
        ("q1-adapt", adapted.CONTINUED_PAIRS),
        ("q2-quality", adapted.TUNED_PAIRS),
        ("q2-quality-cpu", adapted.TUNED_PAIRS),
        ("q6-forgetting", [adapted.RULED.format(arm) for arm in adapted.REMEDIES if arm != "full"]),
    ],
)
def test_the_recipe_compares_what_the_chapter_shows(recipe: str, names: Any) -> None:
    assert {*names} <= {*yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())["pairs"]}


def test_remedies_stand_beside_interpolation_with_a_verdict() -> None:
    found = {row["name"]: row for row in adapted.remedies(RUN)}
    names = ("no remedy", "replay, 5 %", "KL, weight 0.5", "KL, weight 2", "LoRA, rank 4")
    verdicts = [found[name]["verdict"] for name in names]
    assert verdicts == ["–", "less", "more", "not comparable", "not comparable"]
    assert found["replay, 5 %"]["beside"] == "−0.200 (−0.210 to −0.190)"
    assert (found["no remedy"]["beside"], found["LoRA, rank 4"]["beside"]) == (None, None)
    assert (found["no remedy"]["chat"], found["LoRA, rank 4"]["chat"]) == ("55 ± 5", None)
    assert (found["replay, 5 %"]["gain"], found["replay, 5 %"]["pass@1"]) == ("0.90 ± 0.00", "10.0 ± 0.0")


def test_a_comparison_is_shown_with_its_interval() -> None:
    assert adapted.apart(RUN, "kl-05-over-interpolation", "old_bits", "+.2f") == "+0.20 (+0.19 to +0.21)"
    with pytest.raises(KeyError, match="not compared"):
        adapted.apart(RUN, "kl-05-over-interpolation", "pass@1")


def test_a_point_on_the_way_is_the_mean_of_its_seeds() -> None:
    rows = [_point("full", seed, 0.3, 1.0 + seed, 0.2 * seed) for seed in (0, 1)]
    ends = [row | {"old_rise_low": row["old_rise"] - 0.1, "old_rise_high": row["old_rise"] + 0.1} for row in rows]
    run: Any = Record(points=[*POINTS, *ends])
    found = adapted.interpolated(run, "full", 0.3)
    assert found == pytest.approx({"gain": 1.5, "old_rise": 0.1, "least": -0.1, "most": 0.3})
    with pytest.raises(KeyError, match=r"full@0\.5"):
        adapted.interpolated(run, "full", 0.5)


def test_probes_are_the_plain_ones_of_a_kind_by_seed() -> None:
    names = ("arm", "weight", "kind", "form", "value")
    given = [
        ("start", 0.0, "sum", "plain", 0.8),
        ("full", 1.0, "sum", "plain", 0.4),
        ("full", 1.0, "sum", "plain", 0.7),
        ("full", 0.3, "sum", "plain", 0.1),
        ("full", 1.0, "sum", "shots", 0.2),
        ("full", 1.0, "cloze", "plain", 0.3),
    ]
    rows = [dict(zip(names, one, strict=True)) for one in given]
    run: Any = Record(probes=rows)
    assert adapted.probed(run, "full", "sum") == [0.4, 0.7]
    assert adapted.probed(run, "start", "sum") == [0.8]
    assert adapted.probed(run, "full", "sum", "shots") == [0.2]


def test_points_get_the_share_of_their_own_probes() -> None:
    points = [_point("full", 0, 1.0, 1.0, 0.3) | {"name": name} for name in ("full-seed1", "full-seed0", "start")]
    found = adapted.with_probe(cast("Any", Record(points=points, probes=PROBES)), "capital", "chat")
    assert found["capital.chat"].dropna().tolist() == [0.6, 0.5]
    assert list(found["name"]) == ["full-seed1", "full-seed0", "start"]
