"""Chapter 9's frames and plots, on a record that the experiment's own report made of known cells."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from codelab.book import costs, figures, tables
from codelab.book.facts import Facts
from codelab.book.style import styled
from codelab.book.worked import ch09
from codelab.errors import UserError
from codelab.records import Environment, Hardware, Recipe, open_run, read_record
from codelab.train.engines import experiment, report
from codelab.train.engines.recipe import EnginesRecipe

TINY = Path(__file__).resolve().parents[4] / "recipes" / "q9-engines-tiny-cpu.yaml"


def answer(cell: Any) -> dict[str, Any]:
    slow = cell.engine in {"vllm", "unsloth"}
    phase = {"cpu_peak": 2_000_000_000, "gpu_allocated": 5, "gpu_device": 9_000_000_000, "gpu_reserved": None}
    seconds = {"import": 2.0, "load": 30.0 if slow else 1.0, "warm-up": 1.0}
    if cell.start == "warm":
        seconds["load"] /= 10
    phases = [{"name": name, "seconds": value, "variant": cell.key, **phase} for name, value in seconds.items()]
    looks = [
        {"t": t, "phase": name, "cpu": 10**9, "gpu_device": int(t * 1e9), "gpu_allocated": None}
        for t, name in ((0.0, "load"), (1.0, "load"), (2.0, "sample 128"), (3.0, "sample 192"), (4.0, "sample 192"))
    ]
    made: dict[str, Any] = {"phases": phases, "looks": looks}
    if cell.role == "train":
        made["training"] = [
            {"length": length, "step": i, "warm": i == 0, "seconds": (0.5 if slow else 1.0) + i / 100,
             "gpu_allocated": 10**9}
            for length in (128, 192) for i in range(7)
        ]  # fmt: skip
    else:
        made["sampling"] = [
            {"length": length, "count": count, "repeat": repeat, "seconds": (0.1 if slow else 1.0) * count}
            for length in (128, 192) for count, repeat in ((4, 0), (8, 0), (8, 1), (8, 2))
        ]  # fmt: skip
        made |= {"gpu_reserved": 7_000_000_000, "engine_allocated": 8_000_000_000} if slow else {}
    return made


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    recipe = EnginesRecipe.model_validate(yaml.safe_load(TINY.read_text(encoding="utf-8")))
    answers = {cell.key: answer(cell) for cell in recipe.cells()}
    answers["train.tiny-gpt2.unsloth.full.cold"] = {"failed": "out of memory", "phases": [], "looks": []}
    opened = open_run(recipe, "engines", tmp_path_factory.mktemp("results"), [])
    opened.environment(Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}), None)
    experiment._record(recipe, opened, answers)
    report.write(recipe, opened, answers)
    folder = opened.finish()
    return Facts(folder, read_record(folder))


def test_starts_and_memory_of_each_process_with_what_failed(run: Facts) -> None:
    rows = {row["key"]: row for row in ch09.cells(run, "sample", "cold")}
    assert list(rows) == ["sample.tiny-gpt2.transformers.cold", "sample.tiny-gpt2.vllm.cold"]
    served = rows["sample.tiny-gpt2.vllm.cold"]
    assert served["name"] == "tiny-gpt2, vLLM, cold"
    assert served["start_seconds"] == 33.0
    assert (served["gpu_allocated"], served["gpu_reserved"]) == (8e9, 7e9)
    failed = next(row for row in ch09.cells(run, "train") if row["failed"])
    assert (failed["why"], failed["start_seconds"]) == ("out of memory", None)
    shown = tables.show(
        ch09.cells(run, "train"), columns={"name": "Process", "start_seconds": "Start (s)", "why": "Why not"},
        formats={"start_seconds": ".1f s"}, units={"start_seconds": "s"},
    )  # fmt: skip
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines()]
    assert ["tiny-gpt2, Unsloth, full weights, cold", "–", "out of memory"] in lines


def test_rates_are_of_the_repeated_count_with_their_extremes(run: Facts) -> None:
    rows = {(row["name"], row["length"]): row for row in ch09.rates(run, "sampling")}
    assert {row["count"] for row in rows.values()} == {8}
    assert rows["vLLM", 128]["tokens_per_second"] == pytest.approx(8 * 16 / 0.8)
    trained = ch09.rates(run, "training", 192)
    assert {row["method_name"] for row in trained} == {"full weights", "LoRA"}
    trl = next(row for row in trained if row["engine"] == "trl" and row["method"] == "full")
    # Two steps a repeat: 1.015, 1.035 and 1.055 s for four sequences of 192 tokens.
    assert trl["range"] == "728–757"
    assert trl["tokens_per_second"] == pytest.approx(768 / 1.035)


def test_rates_go_into_bars_and_ratios_name_the_engine_that_is_compared(run: Facts) -> None:
    frame = ch09.rate_bars([run], "training", 192)
    assert list(frame["what"]) == ["tiny-gpt2, full weights", "tiny-gpt2, LoRA", "tiny-gpt2, LoRA"], (
        "what failed is out"
    )
    assert list(frame["name"]) == ["trl", "trl", "Unsloth"]
    assert frame["rate"][0] == pytest.approx(0.768 / 1.035)
    assert (frame["low"] < frame["rate"]).all()
    assert list(ch09.rate_bars([run], "sampling", 128)["what"]) == ["tiny-gpt2", "tiny-gpt2"]
    with styled():
        assert figures.bars(frame, x="rate", y="what", hue="name", low="low", high="high", xlabel="x").axes
    (sampled,) = [row for row in ch09.ratios([run], "sample") if row["length"] == 128]
    assert (sampled["count"], sampled["name"], sampled["speed"]) == (8, "vLLM", pytest.approx(10))
    assert sampled["clear"] is True
    trained = ch09.ratio(run, "tiny-gpt2", 192, "lora")
    assert (trained["name"], trained["method_name"], trained["memory"]) == ("Unsloth", "LoRA", 1.0)
    assert ch09.ratio(run, "tiny-gpt2", 128)["count"] == 8
    with pytest.raises(UserError, match="no ratio of 'tiny-gpt2', full, length 192"):
        ch09.ratio(run, "tiny-gpt2", 192, "full")


def test_the_job_by_part_adds_up_and_goes_into_bars(run: Facts) -> None:
    rows = {row["name"]: row for row in ch09.factorial(run, "tiny-gpt2", "lora", 192)}
    assert list(rows) == ["transformers + trl", "vLLM + trl", "transformers + Unsloth", "vLLM + Unsloth"]
    both = rows["vLLM + Unsloth"]
    assert both["sample"] == pytest.approx(100 * 0.1)
    assert both["total"] == pytest.approx(sum(both[part] for part in ch09.PARTS))
    assert both["starts"] == pytest.approx(both["total"] - both["sample"] - both["train"] - both["evaluate"])
    assert both["method_name"] == "LoRA"
    assert both["evaluator_start"] == both["sampler_start"], "another model's folder has no caches"
    bars = ch09.job_bars(run, "tiny-gpt2", "lora", 192)
    assert bars.groupby("variant")["seconds"].sum()["vLLM + Unsloth"] == pytest.approx(both["total"])
    assert ch09.factorial(run, "tiny-gpt2", "full", 192, "cold")[-1]["training"] == "trl", "what failed has no row"
    with styled():
        assert figures.timeline(bars).axes[0].patches


def test_break_even_and_its_curves(run: Facts) -> None:
    (row,) = [row for row in ch09.break_even(run, "cold") if row["length"] == 128]
    assert row["name"] == "vLLM"
    assert int(row["from"]) == row["completions"] > 8
    assert row["length_name"] == "128"
    frame = ch09.cost_curves(run, "tiny-gpt2", 128)
    assert list(dict.fromkeys(frame["name"])) == [
        "transformers, cold", "transformers, warm", "vLLM, cold", "vLLM, warm",
    ]  # fmt: skip
    first = frame[(frame["name"] == "vLLM, cold") & (frame["completions"] == 8)].iloc[0]
    assert (first["seconds"], first["measured"]) == (pytest.approx(33.8), True)
    with styled():
        figure = costs.seconds_by_count(frame, [*ch09.break_even(run), {"start": "none", "completions": None}])
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert len(axes.lines) == 2 * 4 + len(ch09.break_even(run)), "no line for a start that is never paid"


def test_real_questions_have_rows_of_their_own(run: Facts) -> None:
    rows = [
        {"model": "gpt2", "engine": "vllm", "completions_per_second": 500.0, "completions_per_second_min": 480.0,
         "completions_per_second_max": 510.0, "tokens": 46.0},
    ]  # fmt: skip
    row = {"model": "gpt2", "length": None, "start": "cold", "engine": "vllm", "completions": None}
    other = Facts(run.folder, run.record.model_copy(update={"tables": {"asked": rows, "break_even": [row]}}))
    (shown,) = ch09.asked(other)
    assert (shown["model_name"], shown["name"], shown["range"]) == ("GPT-2", "vLLM", "480–510")
    (even,) = ch09.break_even(other)
    assert (even["length_name"], even["from"]) == ("as asked", "never")


def test_memory_over_time_names_the_phases(run: Facts) -> None:
    keys = ["sample.tiny-gpt2.vllm.cold", "sample.tiny-gpt2.transformers.cold"]
    frame = ch09.memory(run, keys)
    assert frame["GB"].max() == 4.0
    assert costs.stretches(frame[frame["name"] == "tiny-gpt2, vLLM, cold"]) == [
        ("load", 0.0, 1.0), ("sample 128", 2.0, 2.0), ("sample 192", 3.0, 4.0),
    ]  # fmt: skip
    with styled():
        figure = costs.memory_over_time(frame)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "tiny-gpt2, vLLM, cold",
        "tiny-gpt2, transformers, cold",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["load", "sample"]
    assert ch09.memory(run, keys, "gpu_allocated").empty, "the parent's allocator saw nothing"
    with styled(), pytest.raises(ValueError, match="no memory over time"):
        costs.memory_over_time(ch09.memory(run, keys, "gpu_allocated"))


def test_quality_is_in_points_and_a_missing_table_is_named(run: Facts) -> None:
    with pytest.raises(UserError, match="no table 'counterparts'"):
        ch09.quality(run)
    rows = [
        {"model": arm, "setting": "t0.6", "k": 1, "difference": 0.01, "low": -0.02, "high": 0.03}
        for arm in ("start", "dpo")
    ]
    other = Facts(run.folder, run.record.model_copy(update={"tables": {"counterparts": rows}}))
    (shown,) = ch09.quality(other, ["dpo"])
    assert shown["name"] == "dpo, T = 0.6, pass@1"
    assert (shown["value"], shown["low"], shown["high"]) == (pytest.approx(1), pytest.approx(-2), pytest.approx(3))
    with styled():
        assert figures.differences([shown], "points").axes


def test_agreements_stand_beside_their_control_the_length_of_answers_and_the_spacing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Recipe):
        answers: dict[str, str]

    asked = Asked(kind="agreement", title="t", hardware=Hardware(minutes=1), answers={"dtype": "float16"})
    found = open_run(asked, "agreement-tiny", tmp_path, [])
    found.environment(Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}), None)
    for key, value in (("other", 0.5), ("control", 0.75)):
        found.metric(f"{key}.identical", value, low=value - 0.25, high=value + 0.125, n=2)
    found.table("differences_other", [{"spacing": 0.25}, {"spacing": 0.5}, {"spacing": 8.0}])
    monkeypatch.setattr(Facts, "samples", lambda _: [{"first": "abcd"}, {"first": "ab"}])
    folder = found.finish()
    run = Facts(folder, read_record(folder))
    assert ch09.agreements({"M": run}) == [
        {"name": "M", "dtype": "float16", "texts": 2, "other": 0.5, "other_ci": "25.0–62.5", "control": 0.75,
         "control_ci": "50.0–87.5", "characters": 3.0, "spacing": 0.5}
    ]  # fmt: skip
    run.record.metrics["other.identical"].low = None
    with pytest.raises(UserError, match="no interval"):
        ch09.agreements({"M": run})
