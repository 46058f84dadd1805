"""Arms in the chapters' words: every arm of the recipes has a name, and rows keep their order and their numbers."""

from pathlib import Path
from typing import Any

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
    return {"arm": arm, "family": arm, "seed": seed, "weight": weight, "gain": gain, "old_rise": rise,
            "old_rise_second_half": rise / 2, "pass@1_change": 0.02, "pass@1_change_low": 0.01,
            "pass@1_change_high": 0.03}  # fmt: skip


def _arm(arm: str, rise: float) -> dict[str, Any]:
    values = {"gain": 0.9, "old_rise": rise, "pass@1": 0.1}
    ends = {f"{key}_{end}": value for key, value in values.items() for end in ("least", "most")}
    return {"arm": arm, "family": arm, "seeds": 2, **values, **ends}


POINTS = [
    *(_point("full", seed, 1.0, 1.0, 0.3) for seed in (0, 1)),
    *(_point("replay-05", seed, 1.0, 0.9, 0.1 + seed / 100) for seed in (0, 1)),
    *(_point("kl-05", seed, 1.0, 0.5, 0.2 + seed / 100) for seed in (0, 1)),
]
PROBES = [
    {"arm": "full", "weight": 1.0, "kind": "capital", "form": form, "change": value}
    for form, value in (("plain", -0.2), ("shots", -0.1), ("plain", -0.4), ("shots", 0.1))
]
RUN: Any = Record(
    points=POINTS, probes=PROBES, arms=[_arm("start", 0), _arm("full", 0.3), _arm("replay-05", 0.1), _arm("kl-05", 0.2)]
)


@pytest.mark.parametrize(
    ("recipe", "names"),
    [("q1-adapt", adapted.CONTINUED), ("q2-quality", adapted.TUNED), ("q6-forgetting", adapted.REMEDIES)],
)
def test_every_arm_of_the_recipe_has_a_name(recipe: str, names: dict[str, str]) -> None:
    arms = yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text())["arms"]
    assert set(arms) == set(names) - {"start"}
    assert len(set(names.values())) == len(names)


def test_remedies_stand_beside_interpolation_with_a_verdict() -> None:
    found = {row["name"]: row for row in adapted.remedies(RUN)}
    assert [found[name]["verdict"] for name in ("no remedy", "replay, 5 %", "KL, weight 0.5")] == ["–", "less", "more"]
    assert found["replay, 5 %"]["ruler"] == pytest.approx(0.27, abs=2e-3)
    assert found["no remedy"]["ruler"] is None
    assert (found["replay, 5 %"]["gain"], found["replay, 5 %"]["pass@1"]) == ("0.90 ± 0.00", "10.0 ± 0.0")


def test_families_are_listed_by_verdict() -> None:
    more = [_point("replay-01", seed, 1.0, 0.9, 0.3 + seed / 100) | {"family": "replay-05"} for seed in (0, 1)]
    run: Any = Record(points=POINTS + more)
    listed = {verdict: adapted.by_verdict(run, verdict) for verdict in ("less", "more", "same")}
    assert listed == {"less": "replay-05 (1 of 2 settings)", "same": "none",
                      "more": "kl-05 (1 of 1 settings), replay-05 (1 of 2 settings)"}  # fmt: skip


def test_form_is_told_from_content() -> None:
    found = adapted.form_and_content(RUN, "full")
    assert found == pytest.approx({"rise": 0.3, "second_half": 0.15, "plain": -0.3, "shots": 0.0})


def test_a_change_is_shown_with_the_outermost_ends() -> None:
    assert adapted.change(RUN, "full").replace("\N{NO-BREAK SPACE}", " ") == "+2.0 points (+1.0 to +3.0 points)"
