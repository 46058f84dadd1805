"""Chapter 10's frames keep the records' numbers and put them in the right row; its plots draw them."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest

from codelab.book import figures
from codelab.book.facts import Facts
from codelab.book.style import styled
from codelab.book.worked import ch10, ch10_costs
from codelab.records import Environment, Metric, Phase, Record
from codelab.records.files import to_csv
from codelab.records.schema import CodeFacts, RecipeFacts

ARM = {"reward": "graded", "loss": "grpo", "scale": "group", "beta": 0.04, "group": 16, "rate": 1e-5, "epsilon": 0.2}
ARMS = {
    "grpo": ARM | {"epsilon_high": None, "iterations": 1, "mask_truncated": False},
    "no-kl": ARM | {"beta": 0.0, "epsilon_high": None, "iterations": 1, "mask_truncated": True},
}


def step(unit: str, number: int, passes: float) -> dict[str, Any]:
    return {
        "arm": unit, "step": number, "loss": 0.1, "reward": 0.1 + passes, "rung_passes": passes, "hard_coded": 0.5,
        "rung_syntax": 0.75 - passes, "rung_some": 0.25, "rung_runs": 0.0, "rung_defines": 0.0, "rung_parses": 0.0,
        "rung_nothing": 0.0, "rung_fault": 0.0, "shown_only": 0.2, "seconds": 60.0 * number, "step_seconds": 6.0,
        "sampling_seconds": 2.0, "judging_seconds": 1.0, "training_seconds": 3.0,
    }  # fmt: skip


def look(unit: str, number: int, share: float) -> dict[str, Any]:
    return {"arm": unit, "step": number, "kl": 0.5 * number, "pass@1": share, "seconds": 60.0 * number}


def row(model: str, difference: float, **more: Any) -> dict[str, Any]:
    values = {"start": 0.02, "score": 0.02 + difference, "low": difference - 0.01, "high": difference + 0.01}
    return {
        "model": model, "setting": "t0.6", "k": 1, "difference": difference, "tasks": 500, "seeds": 2, "verdict": "x",
        **values, **more,
    }  # fmt: skip


def facts(folder: Path, arms: dict[str, Any], rows: list[dict[str, Any]], **more: Any) -> Facts:
    folder.mkdir(parents=True)
    if rows:
        (folder / "steps.csv").write_text(to_csv(rows))
    values: dict[str, Any] = {
        "run": "1", "title": "t", "state": "ok", "command": [], "started": "2026-11-22", "finished": "", "seconds": 90,
        "seeds": [0, 1], "code": CodeFacts(sha256="0"),
        "recipe": RecipeFacts(name="r", kind="k", sha256="0", values={"arms": arms, "seeds": [0, 1]}),
        "environment": Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
    }  # fmt: skip
    return Facts(folder, Record(**(values | more)))


@pytest.fixture
def grpo(tmp_path: Path) -> Facts:
    rows = []
    for unit in ("grpo-seed0", "grpo-seed1", "no-kl-seed0", "no-kl-seed1"):
        rows += [look(unit, 0, 0.02), step(unit, 1, 0.1 if unit.endswith("0") else 0.3), look(unit, 2, 0.04)]
    metrics = {
        f"{unit}.{name}": Metric(value=value)
        for unit in ("grpo-seed0", "grpo-seed1", "no-kl-seed0", "no-kl-seed1")
        for name, value in {
            "steps": 1, "step_seconds": 6, "judging_share": 1 / 6, "sampling_share": 1 / 3, "training_share": 0.5,
        }.items()
    }  # fmt: skip
    tables = {
        "comparison": [row("dpo-0", 0.005), row("grpo", 0.03), row("no-kl", -0.005)],
        "rivals": [row("grpo", 0.02, rival="dpo", rival_score=0.03, rival_seeds=3)],
    }
    del tables["rivals"][0]["start"]
    phases = [
        Phase(name="generate", seconds=90, variant="pool"),
        Phase(name="train", seconds=300, variant="grpo-seed0"),
    ]
    return facts(tmp_path / "grpo", ARMS, rows, metrics=metrics, tables=tables, phases=phases)


@pytest.fixture
def dpo(tmp_path: Path) -> Facts:
    phases = [Phase(name="generate", seconds=60, variant="pairs"), Phase(name="execute", seconds=30, variant="mutants")]
    phases += [Phase(name="train", seconds=120, variant=f"dpo-seed{seed}") for seed in (0, 1)]
    phases += [Phase(name="reference", seconds=12, variant=f"dpo-seed{seed}") for seed in (0, 1)]
    return facts(tmp_path / "dpo", {"dpo": {}}, [], tables={"comparison": [row("dpo", 0.005)]}, phases=phases)


def test_steps_and_looks_are_told_apart(grpo: Facts) -> None:
    frame = ch10.steps(grpo, ["no-kl", "grpo"])
    assert frame[["arm", "seed", "minutes"]].to_numpy().tolist() == [
        ["no-kl", 0, 1.0], ["no-kl", 1, 1.0], ["grpo", 0, 1.0], ["grpo", 1, 1.0],
    ]  # fmt: skip
    assert "kl" not in frame
    assert "loss" not in ch10.looks(grpo)
    assert ch10.looks(grpo, ["grpo"])[["step", "percent"]].to_numpy().tolist() == [[0, 2], [2, 4], [0, 2], [2, 4]]


def test_the_ladder_is_a_whole_from_the_top_and_a_mean_over_seeds(grpo: Facts) -> None:
    frame = ch10.ladder(grpo, "grpo")
    assert frame["rung"].tolist() == ["passes", "some tests", "syntax error"]
    assert frame["percent"].tolist() == pytest.approx([20, 25, 55])
    with styled():
        axes = figures.areas(frame, "step", "percent", "rung", xlabel="Step", ylabel="%").axes[0]
        assert [text.get_text() for text in axes.get_legend().get_texts()] == frame["rung"].tolist()
        assert len({area.get_hatch() for area in axes.collections}) == 3, "parts differ in grey too"
        plt.close("all")


def test_credit_stands_beside_what_it_is_for(grpo: Facts) -> None:
    frame = ch10.credit(grpo, "grpo").set_index(["curve", "seed"])["percent"]
    assert frame["mean reward", 1] == pytest.approx(40)
    assert frame["passes", 0] == pytest.approx(10)
    assert frame["passes, written for the tests", 1] == pytest.approx(15)
    assert frame["fails the hidden test", 0] == pytest.approx(20)


def test_time_goes_where_the_steps_say(grpo: Facts) -> None:
    frame = ch10.time(grpo)
    assert frame[frame["variant"] == "no-kl"]["seconds"].tolist() == [2, 1, 3]
    assert len(ch10.time(grpo, grpo)) == 2 * len(frame)
    assert ch10.judging(grpo)[0] == {
        "unit": "grpo-seed0", "steps": 1, "step": 6, "sampling": pytest.approx(1 / 3), "judging": pytest.approx(1 / 6),
        "training": 0.5,
    }  # fmt: skip


def test_settings_that_differ_come_first(grpo: Facts) -> None:
    rows = ch10.settings(grpo)
    assert rows[0] == {"setting": "β", "grpo": "0.04", "no-kl": "0"}
    assert rows[1] == {"setting": "Cut answers in the loss", "grpo": "yes", "no-kl": "no"}
    assert {"setting": "ε above", "grpo": "as ε", "no-kl": "as ε"} in rows[2:]


def test_differences_are_points_against_the_start_or_a_rival(grpo: Facts) -> None:
    assert [one["name"] for one in ch10.differences(grpo, "t0.6")] == ["dpo-0", "grpo", "no-kl"]
    (only,) = ch10.differences(grpo, "t0.6", rival="dpo")
    assert (only["value"], only["low"]) == (pytest.approx(2), pytest.approx(1))
    assert ch10.differences(grpo, "greedy") == []
    table = ch10.comparison(grpo, rival="dpo")
    assert (table[0]["start"], table[0]["setting"]) == (0.03, "T = 0.6, pass@1")


def test_prices_count_what_each_method_needs(grpo: Facts, dpo: Facts) -> None:
    rows = {one["name"]: one for one in ch10.prices({"GRPO": grpo, "DPO": dpo})}
    assert list(rows) == ["GRPO: grpo", "GRPO: no-kl", "DPO"]
    assert rows["GRPO: grpo"]["minutes"] == pytest.approx((90 + 120) / 60), "the last look's seconds, not the phase's"
    assert rows["DPO"]["minutes"] == pytest.approx((60 + 30 + 120 + 12) / 60)
    assert rows["DPO"]["preparation"] == pytest.approx(1.5)
    with styled():
        axes = figures.prices(list(rows.values()), "minutes", "difference", xlabel="min", ylabel="points").axes[0]
        faces = [container.lines[0].get_markerfacecolor() != "white" for container in axes.containers]
        assert faces == [True, False, False]
        assert {text.get_text() for text in axes.texts} == set(rows)
        plt.close("all")


FULL = {"kl_token_exact": 0.01, "flat_groups": 0.5, "entropy": 0.7}


@pytest.fixture
def costly(tmp_path: Path) -> Facts:
    """One arm, two seeds of four and six steps; one phase of each stage."""
    rows = [
        step(f"grpo-seed{seed}", number, number / 10) | FULL | {"entropy": 1 / number}
        for seed, last in ((0, 4), (1, 6))
        for number in range(1, last + 1)
    ]
    phases = [
        Phase(name="load", seconds=40, variant="start", gpu_reserved=24),
        Phase(name="warm-up", seconds=2, variant="start"),
        Phase(name="prompts", seconds=3),
        Phase(name="sample", seconds=50, variant="pool", gpu_device=31),
        Phase(name="generate", seconds=45, variant="pool"),
        Phase(name="evaluate", seconds=99, variant="start", gpu_device=33),
    ]
    for seed in (0, 1):
        phases += [
            Phase(name="load_policy", seconds=1, variant=f"grpo-seed{seed}"),
            Phase(name="set_up", seconds=2, variant=f"grpo-seed{seed}"),
            Phase(name="train", seconds=999, variant=f"grpo-seed{seed}", cpu_peak=5 + seed, gpu_allocated=58),
            Phase(name="watch", seconds=10 + 2 * seed, variant=f"grpo-seed{seed}"),
            Phase(name="evaluate", seconds=20, variant=f"grpo-seed{seed}"),
        ]
    arms = {"grpo": ARMS["grpo"]}
    return facts(tmp_path / "costly", arms, rows, phases=phases, tables={"comparison": [row("grpo", 0.03)]})


def test_stages_stand_side_by_side(costly: Facts, dpo: Facts) -> None:
    rows = {one["stage"]: one for one in ch10_costs.stages({"GRPO": costly, "DPO": dpo})}
    assert [one["GRPO"] for one in rows.values()] == [42, 53, 3, 300, 11, 20]
    assert rows["Training"]["DPO"] == 132, "with the reference's scores, and without steps the phase itself"
    assert rows["Start sampled and judged, once"]["DPO"] == 90
    assert rows["Looks at the policy"]["DPO"] == 0


def test_memory_is_the_largest_and_missing_where_nobody_measured(costly: Facts, dpo: Facts) -> None:
    rows = {one["what"]: (one["GRPO"], one["DPO"]) for one in ch10_costs.memory({"GRPO": costly, "DPO": dpo})}
    assert rows["Training: host, all processes"] == (6, None)
    assert rows["Training: PyTorch's allocator"] == (58, None)
    assert rows["Evaluating: device"] == (33, None)
    assert rows["Set aside by vLLM for its cache, by setting"] == (24, None)


def test_ends_are_means_over_the_first_and_last_steps_of_every_seed(costly: Facts) -> None:
    rows = {one["quantity"]: one for one in ch10_costs.ends(costly, "grpo", width=2)}
    assert rows["Completions that pass"]["first"] == "15.0\N{NO-BREAK SPACE}%"
    assert rows["Completions that pass"]["last"] == "45.0\N{NO-BREAK SPACE}%", "steps 3, 4 of one and 5, 6 of the other"
    assert "Tokens a completion" not in rows, "this run has no such column"


def test_an_ablation_is_a_running_mean_over_minutes(costly: Facts) -> None:
    frame = ch10_costs.ablation(costly, ["grpo"], "rung_passes", factor=100, window=2)
    first = frame[frame["seed"] == 0]
    assert first["value"].tolist() == pytest.approx([10, 15, 25, 35])
    assert first["minutes"].tolist() == [1, 2, 3, 4]


def test_outcomes_join_the_steps_and_the_score(costly: Facts) -> None:
    (only,) = ch10_costs.outcomes(costly, "t0.6", width=2)
    assert (only["arm"], only["steps"], only["flat"]) == ("grpo", 5, 0.5)
    assert only["passes"] == pytest.approx(0.45)
    assert (only["value"], only["low"], only["high"]) == pytest.approx((3, 2, 4))
