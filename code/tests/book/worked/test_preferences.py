"""Chapter 5's and 8's frames of a DPO run keep the record's numbers, in nats, and put them in the right row."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import preferences
from codelab.errors import UserError
from codelab.records import Environment, Record
from codelab.records.files import to_csv
from codelab.records.schema import CodeFacts, Metric, RecipeFacts

ARMS = {
    "low": {"loss": ["sigmoid"], "beta": 0.1, "rate": 1e-5},
    "anchored": {"loss": ["sigmoid", "sft"], "beta": 0.5, "rate": 1e-5},
    "ipo": {"loss": ["ipo"], "beta": 1.0, "rate": 1e-5},
}


def pair(chosen: str, rejected: str, failure: str, count: int) -> dict[str, Any]:
    return {"chosen": chosen, "rejected": rejected, "failure": failure, "pairs": count, "tasks": 1}


def rows(unit: str, beta: float) -> list[dict[str, Any]]:
    """Two looks around four steps; the chosen side gains half a nat a step, the rejected one loses one."""
    steps = [
        {"arm": unit, "step": step, "loss": 0.5, "rewards/chosen": 0.5 * step * beta, "rewards/rejected": -step * beta,
         "rewards/margins": 1.5 * step * beta, "rewards/accuracies": 0.25 * step}
        for step in (1, 2, 3, 4)
    ]  # fmt: skip
    looked = {"arm": unit, "step": 0, "kl": 0.0, "kl_error": 0.0, "pass@1": 0.04, "pass@1_low": 0.03,
              "pass@1_high": 0.05}  # fmt: skip
    later = {"step": 4, "kl": 2.0, "kl_error": 0.1, "pass@1": 0.02, "pass@1_low": 0.0, "pass@1_high": 0.04}
    return [looked, *steps, looked | later]


@pytest.fixture
def run(tmp_path: Path) -> Facts:
    units = [f"{arm}-seed{seed}" for arm in ARMS for seed in (0, 1)]
    (tmp_path / "steps.csv").write_text(
        to_csv([row for unit in units for row in rows(unit, ARMS[unit[:-6]]["beta"])])  # type: ignore[arg-type]
    )
    compared = {"setting": "t0.6", "k": 1, "start": 0.03, "score": 0.05, "difference": 0.02, "low": 0.01, "high": 0.03}
    tables: dict[str, Any] = {
        "pairs": [pair("own", "own", "exception", 3), pair("reference", "mutant", "wrong_value", 1),
                  pair("all", "all", "all", 4)],
        "candidates": [{"source": "own", "failure": "none", "programs": 5},
                       {"source": "own", "failure": "syntax", "programs": 2},
                       {"source": "reference", "failure": "none", "programs": 7}],
        "comparison": [{"model": "base"} | compared, *({"model": arm} | compared for arm in ARMS)],
    }  # fmt: skip
    return Facts(tmp_path, Record(
        run="1", title="t", state="ok", command=[], started="2026-11-23", finished="", seconds=9, seeds=[0, 1],
        code=CodeFacts(sha256="0"), tables=tables,
        recipe=RecipeFacts(name="r", kind="dpo", sha256="0", values={"arms": ARMS, "seeds": [0, 1]}),
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
    ))  # fmt: skip


def test_pairs_and_candidates_have_the_books_names(run: Facts) -> None:
    shown = preferences.pairs(run)
    assert [row["rejected"] for row in shown] == ["its own sample", "mutant of the reference", "all"]
    assert [row["failure"] for row in shown] == ["exception", "wrong value", "all"]
    assert preferences.share_of_pairs(run, "own") == 0.75
    assert preferences.candidates(run) == [
        {"outcome": "passes", "own": 5, "reference": 7, "mutant": 0},
        {"outcome": "syntax error", "own": 2, "reference": 0, "mutant": 0},
        {"outcome": "all", "own": 7, "reference": 7, "mutant": 0},
    ]


def test_arms_are_called_by_what_differs(run: Facts) -> None:
    assert [preferences.name(run, arm) for arm in ARMS] == ["β = 0.1", "β = 0.5, likelihood term", "IPO, τ = 1"]


def test_arms_of_several_rates_say_theirs(run: Facts) -> None:
    run.record.recipe.values["arms"] = ARMS | {"slow": {"loss": ["sigmoid"], "beta": 0.1, "rate": 3e-6}}
    assert [preferences.name(run, arm) for arm in ("low", "slow")] == ["β = 0.1, rate 10⁻⁵", "β = 0.1, rate 3·10⁻⁶"]
    assert preferences.loss(run, "slow") == "β = 0.1"


def test_the_references_likelihood_is_what_the_policys_exceeds_by_the_log_ratio(run: Facts, tmp_path: Path) -> None:
    rewards = {"rewards/chosen": 0.2, "rewards/rejected": -0.4, "rewards/margins": 0.6}
    logged = {"arm": "low-seed0", "loss": 0.5, "logps/chosen": -8.0, "logps/rejected": -24.0} | rewards
    other = logged | {"arm": "ipo-seed0", "logps/chosen": 0.0}
    (tmp_path / "steps.csv").write_text(to_csv([logged, other, logged | {"arm": "low-seed1", "logps/chosen": -10.0}]))
    assert preferences.beforehand(run, "low") == pytest.approx({"chosen": -11, "rejected": -20})


def test_log_ratios_are_in_nats_whatever_beta_and_stretches_are_means(run: Facts) -> None:
    frame = preferences.ratios(run, ["ipo", "low"], points=2)
    assert frame[["arm", "seed", "step"]].to_numpy().tolist() == [
        ["ipo", 0, 2], ["ipo", 0, 4], ["ipo", 1, 2], ["ipo", 1, 4],
        ["low", 0, 2], ["low", 0, 4], ["low", 1, 2], ["low", 1, 4],
    ]  # fmt: skip
    assert frame["chosen"].tolist() == pytest.approx([0.75, 1.75] * 4)
    assert frame["rejected"].tolist() == pytest.approx([-1.5, -3.5] * 4)
    assert frame["margin"].tolist() == pytest.approx([2.25, 5.25] * 4)
    assert frame["accuracy"].tolist() == pytest.approx([37.5, 87.5] * 4)
    assert len(preferences.ratios(run, ["low"], points=99)) == 8
    assert preferences.drained(run, "low") == pytest.approx({"peak": 2, "step": 4, "end": 2})


def test_looks_carry_their_error_and_passes_where_judged(run: Facts, tmp_path: Path) -> None:
    frame = preferences.looks(run, ["low"])
    assert frame["kl"].tolist() == [0, 2, 0, 2]
    assert frame["kl_high"].tolist() == pytest.approx([0, 2.196, 0, 2.196])
    assert frame["kl_low"].tolist() == pytest.approx([0, 1.804, 0, 1.804])
    assert frame["percent"].tolist() == [4, 2, 4, 2]
    assert frame["percent_high"].tolist() == pytest.approx([5, 4, 5, 4])
    assert preferences.look_width(run) == pytest.approx(1.5)
    plain = [{key: value for key, value in row.items() if not key.startswith("pass")} for row in rows("low-seed0", 0.1)]
    run.record.recipe.values["seeds"] = [0]
    (tmp_path / "steps.csv").write_text(to_csv(plain))
    assert "percent" not in preferences.looks(run, ["low"])
    with pytest.raises(UserError, match="ipo-seed0 was never looked at"):
        preferences.looks(run, ["ipo"])
    with pytest.raises(UserError, match="ipo-seed0 has no training steps"):
        preferences.ratios(run, ["ipo"])


def test_every_arm_ends_somewhere_beside_the_start(run: Facts) -> None:
    start, low, *_ = table = preferences.shifts(run, points=4)
    assert len(table) == 4
    assert (start["name"], start["score"], start["last"], start["chosen"]) == ("start", 0.03, 4, None)
    assert (low["chosen"], low["rejected"], low["margin"]) == pytest.approx((2, -4, 6))
    assert (low["kl"], low["best"], low["best_step"], low["last"]) == (2, 2, 4, 2), "the start is no look of the arm"
    assert (low["score"], low["difference"], low["low"], low["high"]) == (0.05, 0.02, 0.01, 0.03)
    assert (low["points"], low["ci"], start["ci"]) == (2, "1.0–3.0", None)


def test_samples_for_pairs_are_counted_by_source(run: Facts) -> None:
    run.record.tables["drawn"] = [{"source": "train", "samples": 64, "pass@1": 0.25}]
    assert preferences.drawn(run)["train"]["pass@1"] == 0.25


def test_trials_stand_below_each_other_with_their_rate_and_verdict(run: Facts) -> None:
    run.record.metrics["pairs"] = Metric(value=4)
    table = run.record.tables["comparison"]
    table[1] |= {"low": -0.01, "verdict": "no difference shown"}
    table[2] |= {"low": -0.02, "high": -0.01, "difference": -0.015, "verdict": "worse"}
    table[3] |= {"verdict": "better"}
    found = preferences.explored({"own": run, "all": run})
    assert [row["pairs"] for row in found] == ["own"] * 3 + ["all"] * 3
    assert [row["verdict"] for row in found[:3]] == ["no difference shown", "worse", "better"]
    assert [row["name"] for row in found[:3]] == [preferences.name(run, arm) for arm in ARMS]
    assert [row["arm"] for row in found[:3]] == list(ARMS)
    assert [round(row["rate"], 6) for row in found[:3]] == [10, 10, 10]
    assert {row["count"] for row in found} == {4}
