"""What chapter 10 computes of GRPO's arms agrees with values worked out by hand; trainings cut off do not count."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import ch10, ch10_arms, ch10_costs
from codelab.errors import UserError
from codelab.records import Environment, Metric, Record
from codelab.records.files import to_csv
from codelab.records.schema import CodeFacts, RecipeFacts

WEIGHTS = {"parses": 0.1, "defines": 0.1, "runs": 0.1, "tests": 0.3, "passes": 0.4}
RUNGS = ("fault", "nothing", "syntax", "parses", "defines", "runs", "some", "passes")


def step(unit: str, number: int, shares: tuple[float, ...], reward: float, **more: float) -> dict[str, Any]:
    rungs = {f"rung_{name}": share for name, share in zip(RUNGS, shares, strict=True)}
    row: dict[str, Any] = {
        "arm": unit, "step": number, "seconds": 6.0 * number, "step_seconds": 6.0, "sampling_seconds": 2.0,
        "judging_seconds": 0.6, "training_seconds": 3.4, "reward": reward, "hard_coded": 0.0, "hard_coded_some": 0.25,
        "distinct": 1.0, "flat_groups": 0.0, "kl_token_exact": 0.1, "entropy": 0.9, "length": 50.0, "truncated": 0.0,
        "engine_difference": 0.001,
    }  # fmt: skip
    return row | rungs | more


FIRST = (0, 0, 0.5, 0.0, 0.25, 0.25, 0.0, 0.0)
LAST = (0, 0, 0.0, 0.0, 0.0, 0.5, 0.25, 0.25)


def run(folder: Path, rows: list[dict[str, Any]], **tables: list[dict[str, Any]]) -> Facts:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "steps.csv").write_text(to_csv(rows))
    metrics = {
        "grpo-seed0.greedy.pass@1": Metric(value=0.05, low=0.04, high=0.06),
        "grpo-seed0.step_seconds": Metric(value=6),
    } | {f"grpo-seed0.{part}_share": Metric(value=0.1) for part in ("judging", "sampling", "training")}
    values = {
        "arms": {"grpo": {"reward": "graded"}}, "seeds": [0, 1], "rewards": {"graded": WEIGHTS},
        "prompts": {"filter": {"repeats": 4}}, "questions": {"split": "test"},
    }  # fmt: skip
    return Facts(folder, Record(
        run="1", title="t", state="stopped", command=[], started="2026-11-23", finished="", seconds=9, seeds=[0, 1],
        code=CodeFacts(sha256="0"), recipe=RecipeFacts(name="r", kind="grpo", sha256="0", values=values),
        environment=Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
        metrics=metrics, tables=tables,
    ))  # fmt: skip


@pytest.fixture
def grpo(tmp_path: Path) -> Facts:
    rows = [step("grpo-seed0", 1, FIRST, 0.125), step("grpo-seed0", 2, LAST, 0.525, judging_seconds=1.2)]
    rows.append(step("grpo-seed1", 1, LAST, 0.9, judging_seconds=0.1))
    pool = [{"source": "all", "tasks": 100, "prompts": 160, "pass@1": 0.02}]
    return run(tmp_path / "r" / "1", rows, pool=pool)


def test_a_training_that_was_cut_off_is_left_out(grpo: Facts) -> None:
    assert ch10.complete(grpo) == ["grpo-seed0"]
    assert set(ch10.steps(grpo, whole=True)["seed"]) == {0}
    assert set(ch10.steps(grpo)["seed"]) == {0, 1}
    assert ch10.ladder(grpo, "grpo", whole=True).query("rung == 'syntax error' and step == 1")["percent"].item() == 50
    assert ch10.ladder(grpo, "grpo").query("rung == 'syntax error' and step == 1")["percent"].item() == 25


def test_the_rise_of_the_reward_is_the_sum_of_its_parts(grpo: Facts) -> None:
    found = ch10_arms.rise(grpo, "grpo", width=1)
    assert (found.first, found.last) == (0.125, 0.525)
    assert found.form == pytest.approx((0.1 + 0.1 + 0.1) - (0.05 + 0.05 + 0.025))
    assert found.passing == pytest.approx(0.7 * 0.25)
    assert found.form + found.tests + found.passing == pytest.approx(0.4)
    assert found.share("passing") == pytest.approx(0.175 / 0.4)


def test_a_rise_with_sandbox_faults_is_refused(tmp_path: Path) -> None:
    rows = [step("grpo-seed0", 1, (0.5, *FIRST[1:]), 0.1), step("grpo-seed0", 2, LAST, 0.5)]
    with pytest.raises(UserError, match="sandbox faults in grpo"):
        ch10_arms.rise(run(tmp_path / "r" / "2", rows), "grpo", width=1)


def test_differences_of_trainings_are_read_from_the_run_or_from_a_comparison(grpo: Facts, tmp_path: Path) -> None:
    table = [
        {"setting": setting, "k": k, "difference": 0.01 * k, "low": -0.01, "high": 0.2, "verdict": "x", name: "a"}
        for name in ("model", "pair")
        for setting, k in (("greedy", 1), ("t0.6", 1), ("t0.6", 10))
    ]
    grpo.record.tables["by_seed"] = table[:3]
    other = run(tmp_path / "r" / "5", [], comparison=table[3:])
    found = ch10_arms.trainings([(grpo, {"a": "A"}), (other, {"a": "B"})], 10)
    assert [(row["name"], row["value"], row["low"], row["high"]) for row in found] == [
        ("A", 10, -1, 20), ("B", 10, -1, 20),
    ]  # fmt: skip
    with pytest.raises(UserError, match="no paired difference of 'b'"):
        ch10_arms.trainings([(other, {"b": "B"})])


def test_verdicts_are_found_by_name_over_several_records(grpo: Facts, tmp_path: Path) -> None:
    row = {"setting": "t0.6", "k": 1}
    grpo.record.tables["comparison"] = [row | {"model": "a", "verdict": "better"}]
    grpo.record.tables["by_seed"] = [
        row | {"model": "a-seed0", "verdict": "worse"}, row | {"model": "a-seed1", "verdict": "better"},
        row | {"model": "a-seed1", "setting": "greedy", "verdict": "worse"},
        row | {"model": "a-seed1", "k": 10, "verdict": "no difference shown"},
    ]  # fmt: skip
    other = run(tmp_path / "r" / "6", [], comparison=[row | {"pair": "a-over-b0", "verdict": "worse"}])
    seen = ch10_arms.Verdicts(grpo, other)
    assert seen("a-seed?", "a") == ["worse", "better", "better"]
    assert seen("a-over-b?") == ["worse"]
    assert (seen("a-seed1", k=10), seen("a*", key="greedy")) == (["no difference shown"], ["worse"])
    with pytest.raises(UserError, match="no comparison is called 'b'"):
        seen("a", "b")


def test_courses_hold_looks_as_rows_of_their_own(tmp_path: Path) -> None:
    rows = [
        step("grpo-seed0", 1, FIRST, 0.125),
        {"arm": "grpo-seed0", "step": 0, "seconds": 0.0, "kl": 0.0, "pass@1": 0.04},
    ]
    frame = ch10_arms.course(run(tmp_path / "r" / "4", rows), {"grpo": "divided"})
    assert frame["name"].tolist() == ["divided", "divided"]
    assert frame.dropna(subset=["percent"])[["step", "percent"]].values.tolist() == [[0, 4]]
    assert frame.dropna(subset=["rung_passes"])["step"].tolist() == [1]


def test_work_is_counted_from_settings_and_draws(grpo: Facts) -> None:
    values = grpo.record.recipe.values
    values["prompts"]["filter"]["samples"] = 16
    values["training"] = {"steps": 25, "completions": 512, "batch": 32}
    values["arms"] |= {"both": {"loss": ["sigmoid", "sft"]}, "alone": {"loss": ["sft"]}}
    grpo.record.tables["drawn"] = [{"samples": 30}, {"samples": 12}]
    gain = Metric(value=0.02, low=0.01, high=0.03)
    grpo.record.metrics |= {f"{arm}.t0.6.pass@1.difference": gain for arm in ("grpo", "both", "alone")}
    mine, both, alone = ch10_costs.work((grpo, {"grpo": "GRPO"}), [(grpo, "both", "B"), (grpo, "alone", "A")], grpo)
    assert (mine["name"], mine["before"], mine["during"], mine["steps"], mine["texts"]) == (
        "GRPO",
        1600,
        12800,
        25,
        12800,
    )
    assert (both["before"], both["during"], both["steps"], both["texts"]) == (42, 0, 25, 1600)
    assert (alone["texts"], alone["gain"], alone["ci"]) == (800, 0.02, "+1.0 to +3.0")
    grpo.record.metrics["both.t0.6.pass@1.difference"] = Metric(value=0.02)
    with pytest.raises(UserError, match="has no interval"):
        ch10_costs.work((grpo, {}), [(grpo, "both", "B")], grpo)


def test_courses_and_ends_read_the_same_steps(grpo: Facts) -> None:
    frame = ch10_arms.course(grpo, {"grpo": "divided"})
    assert frame["name"].tolist() == ["divided", "divided"]
    assert frame["rung_passes"].tolist() == [0, 25]
    rows = {row["quantity"]: (row["d_first"], row["d_last"]) for row in ch10_arms.ends(grpo, {"grpo": "d"}, width=1)}
    assert rows["Mean reward"] == ("0.125", "0.525")
    assert rows["Do not run to an answer"] == ("75.0\N{NO-BREAK SPACE}%", "0.0\N{NO-BREAK SPACE}%")


def test_the_pool_is_weighted_by_its_repeats(grpo: Facts) -> None:
    assert ch10_arms.pool_passes(grpo) == pytest.approx(100 * 0.02 * 4 / 160)


def test_what_was_counted_stands_beside_what_the_reward_rose_by(grpo: Facts) -> None:
    counted = {"form": 0.5, "tests": 0.3, "solving": 0.2}
    signal = run(grpo.folder.parent / "s", [])
    signal.record.metrics.update(
        {f"mine.graded.g8.{kind}.{part}": Metric(value=share)
         for kind in ("variance", "advantage") for part, share in counted.items()}
    )  # fmt: skip
    longer = run(grpo.folder.parent / "l", [
        step("grpo-seed0", number, FIRST if number <= 5 else LAST, 0.125 if number <= 5 else 0.525)
        for number in range(1, 11)
    ])  # fmt: skip
    rows = ch10_arms.foretold(signal, {"here": (longer, "grpo")}, "mine", 8)
    assert [row["part"] for row in rows] == ["Form alone", "Some tests", "Passing"]
    assert [row["advantage"] for row in rows] == [0.5, 0.3, 0.2]
    assert [row["here"] for row in rows] == pytest.approx([0.4375, 0.125, 0.4375])


def test_judging_is_a_share_of_each_step(grpo: Facts) -> None:
    (row,) = ch10_costs.judge({"trl": grpo})
    assert (row["unit"], row["seconds"]) == ("grpo-seed0", pytest.approx(0.9))
    assert (row["most"], row["least"]) == (pytest.approx(0.2), 6)
