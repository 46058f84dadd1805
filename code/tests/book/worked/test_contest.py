"""Chapter 8's tables of a run with arms: scores, differences, outcomes, costs and examples of the right model."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import contest
from codelab.errors import UserError
from codelab.records import Environment, Metric, Phase, Record
from codelab.records.schema import CodeFacts, RecipeFacts


def facts(**more: Any) -> Facts:
    values: dict[str, Any] = {
        "run": "1", "title": "t", "state": "ok", "command": [], "started": "2026-11-23", "finished": "", "seconds": 90,
        "seeds": [0], "code": CodeFacts(sha256="0"),
        "recipe": RecipeFacts(name="r", kind="dpo", sha256="0", values={"questions": {"split": "test"}}),
        "environment": Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
    }  # fmt: skip
    return Facts(Path("results/r/1"), Record(**(values | more)))


def test_scores_stand_in_a_row_with_their_intervals() -> None:
    metrics = {
        f"start.{quantity}": Metric(value=value, low=value - 0.01, high=value + 0.01)
        for quantity, value in (("greedy.pass@1", 0.05), ("t0.6.pass@1", 0.04), ("t0.6.pass@10", 0.15))
    }
    (row,) = contest.scores(facts(metrics=metrics), {"start": "fine-tuned"})
    assert (row["name"], row["greedy"], row["one"], row["many"]) == ("fine-tuned", 0.05, 0.04, 0.15)
    assert (row["greedy_ci"], row["many_ci"]) == ("4.0–6.0", "14.0–16.0")


def test_differences_are_points_and_one_seed_has_no_interval_over_seeds() -> None:
    base = {"setting": "t0.6", "k": 10, "difference": 0.02, "low": -0.01, "high": 0.05, "tasks": 500, "verdict": "v"}
    mine = base | {"model": "dpo", "seeds": 3, "seeds_low": 0.01, "seeds_high": 0.03}
    other = base | {"model": "base", "seeds": 1, "seeds_low": None, "seeds_high": None}
    run = facts(tables={"comparison": [other, mine]})
    (row,) = contest.differences({"GPT-2": run})
    assert (row["name"], row["value"], row["low"], row["high"]) == ("T = 0.6, pass@10", 2, -1, 5)
    assert (row["ci"], row["seeds_ci"], row["tasks"]) == ("−1.0 to 5.0", "1.0–3.0", 500)
    (alone,) = contest.differences({"GPT-2": run}, arm="base")
    assert alone["seeds_ci"] is None
    assert contest.differences({"GPT-2": run}, digits=2)[0]["ci"] == "−1.00 to 5.00"
    (named,) = contest.differences({"before": (run, "base")})
    assert (named["model"], named["seeds_ci"]) == ("before", None)
    assert [row["name"] for row in contest.differences({"a": run, "b": run})] == [
        "a: T = 0.6, pass@10", "b: T = 0.6, pass@10",
    ]  # fmt: skip


def test_verdicts_are_found_by_model_setting_and_k() -> None:
    row = {"model": "dpo", "setting": "t0.6", "k": 10, "verdict": "better"}
    run = facts(tables={"comparison": [row, row | {"k": 1, "verdict": "worse"}], "by_seed": [row | {"model": "a"}]})
    assert contest.verdicts(run) == {("dpo", "t0.6", 10): "better", ("dpo", "t0.6", 1): "worse"}
    assert contest.verdicts(run, "by_seed") == {("a", "t0.6", 10): "better"}


def test_each_seed_stands_alone_with_mcnemar() -> None:
    row = {"model": "dpo-seed0", "difference": 0.02, "low": -0.01, "high": 0.05}
    greedy = row | {"setting": "greedy", "k": 1, "only_start": 3, "only_model": 13, "p_value": 0.02}
    sampled = row | {"setting": "t0.6", "k": 1, "difference": 0.01, "only_start": None, "only_model": None}
    run = facts(tables={"by_seed": [greedy, sampled, sampled | {"k": 10, "difference": 0.5}]})
    assert contest.by_seed(run, {"dpo-seed0": "seed 0"}) == [
        {
            "name": "seed 0", "greedy": 2, "greedy_ci": "−1.0 to 5.0", "sampled": 1, "sampled_ci": "−1.0 to 5.0",
            "only_start": 3, "only_model": 13, "p_value": 0.02,
        }
    ]  # fmt: skip


def test_outcomes_pool_seeds_and_keep_to_the_setting() -> None:
    tables: dict[str, Any] = {
        f"{model}.failures": [
            {"group": "test t0.6", "failure": "none", "count": passes, "share": passes / 10},
            {"group": "test t0.6", "failure": "exception", "count": 10 - passes, "share": 1 - passes / 10},
            {"group": "test greedy", "failure": "syntax", "count": 9, "share": 1.0},
            {"group": "validation t0.6", "failure": "syntax", "count": 9, "share": 1.0},
        ]
        for model, passes in (("start", 1), ("dpo-seed0", 2), ("dpo-seed1", 4))
    }
    run, models = facts(tables=tables), {"before": ["start"], "after": ["dpo-seed0", "dpo-seed1"]}
    frame = contest.outcomes(run, models, "t0.6")
    assert frame[["class", "model", "count", "percent"]].to_numpy().tolist() == [
        ["passes", "before", 1, 10], ["passes", "after", 6, 30],
        ["exception", "before", 9, 90], ["exception", "after", 14, 70],
    ]  # fmt: skip
    assert set(contest.outcomes(run, models, "t0.6", least=0.5)["class"]) == {"exception"}
    other = facts(tables={"x-seed0.failures": tables["dpo-seed1.failures"]})
    beside = contest.outcomes(run, {"before": ["start"], "other": (other, ["x-seed0"])}, "t0.6")
    assert beside["percent"].tolist() == [10, 40, 90, 60]
    with pytest.raises(UserError, match="before: no completions on test t1"):
        contest.outcomes(run, models, "t1")


def test_costs_are_by_stage_and_phases_inside_others_do_not_count_twice() -> None:
    phases = [
        Phase(name="load", seconds=2, variant="start", gpu_allocated=1),
        Phase(name="warm-up", seconds=1, variant="start", gpu_allocated=3),
        Phase(name="sample", seconds=60, variant="pairs"),
        Phase(name="generate", seconds=59, variant="pairs"),
        Phase(name="execute", seconds=9, variant="pairs"),
        Phase(name="execute", seconds=5, variant="mutants"),
        Phase(name="train", seconds=30, variant="dpo-seed0", gpu_allocated=7, cpu_peak=4),
        Phase(name="train", seconds=40, variant="dpo-seed1", gpu_allocated=6, cpu_peak=5),
        Phase(name="load", seconds=3, variant="dpo-seed0"),
    ]
    found = {row["stage"]: row for row in contest.costs(facts(phases=phases))}
    assert list(found) == ["sample the start for pairs", "judge mutants", "train", "load an engine"]
    assert [row["seconds"] for row in found.values()] == [60, 5, 70, 6]
    train = found["train"]
    assert (train["models"], train["each"], train["gpu_allocated"], train["cpu_peak"]) == (2, 35, 7, 5)
    assert (found["load an engine"]["models"], found["load an engine"]["gpu_allocated"]) == (2, 3)
    assert found["judge mutants"]["gpu_device"] is None


def answer(model: str, task: int, passed: bool, **more: Any) -> dict[str, Any]:
    failure = "none" if passed else "wrong_value"
    return {"variant": model, "setting": "greedy", "task_id": task, "passed": passed, "failure": failure, "detail": "",
            "text": f"{model}{task} = 1"} | more  # fmt: skip


def test_examples_are_the_first_task_gained_lost_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = {11: (0, 0), 12: (0, 1), 13: (0, 1), 14: (1, 1)}
    samples = [answer(model, task, bool(both[place])) for task, both in outcomes.items()
               for place, model in enumerate(("start", "dpo"))]  # fmt: skip
    samples += [answer("dpo", 10, True, setting="t0.6"), {"variant": "pair", "task_id": 1}]
    monkeypatch.setattr(Facts, "samples", lambda _: samples)
    text = contest.changed(facts(), "start", "dpo")
    assert "The first task gained, of 2:\n\nTask 12, wrong value before DPO:\n\n```python\nstart12 = 1\n```\n" in text
    assert "Task 12, passes after DPO:\n\n```python\ndpo12 = 1\n```\n" in text
    assert "No task is lost.\n" in text
    assert "The first task kept, of 1:" in text
    assert "Task 13" not in text


def test_a_pair_is_shown_with_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"variant": "pair", "chosen_source": "reference", "rejected_source": "mutant", "failure": "exception"}
    samples = [
        row | {"task_id": 7, "chosen": "a = 7", "rejected": "b = 7"},
        row | {"task_id": 5, "chosen": "a = 5", "rejected": "b = 5"},
        row | {"task_id": 1, "chosen": "c", "rejected": "d", "chosen_source": "own"},
    ]
    monkeypatch.setattr(Facts, "samples", lambda _: samples)
    text = contest.pair(facts(), "reference", "mutant")
    assert text.startswith("Task 5, passes (chosen, reference):\n\n```python\na = 5\n```\n")
    assert "Task 5, exception (rejected, mutant of the reference):\n\n```python\nb = 5\n```\n" in text
    with pytest.raises(UserError, match="no pair of own over own"):
        contest.pair(facts(), "own", "own")
