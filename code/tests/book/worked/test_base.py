"""The appendix's tables and curves, on runs that are really made here: a tiny pretraining, a tiny fine-tuning."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from codelab.book.facts import Facts
from codelab.book.worked import base
from codelab.errors import UserError
from codelab.records import Environment, Hardware, Recipe, Run, open_run, read_record

from ...train.conftest import tiny_tokenizer, tiny_tokens  # noqa: F401 - fixtures

STEPS, ROWS, LENGTH = 12, 8, 32


def opened(recipe: Recipe, name: str, folder: Path) -> Run:
    run = open_run(recipe, name, folder, [])
    run.environment(Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}), None)
    return run


def finished(run: Run) -> Facts:
    folder = run.finish()
    return Facts(folder, read_record(folder))


@pytest.fixture(scope="module")
def pretrained(
    tiny_tokens: Path,  # noqa: F811
    tiny_tokenizer: Path,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Facts:
    """A pretraining run of a two-layer model."""
    pytest.importorskip("torch")
    from codelab.train import pretrain

    folder = tmp_path_factory.mktemp("pretrain")
    recipe = pretrain.PretrainRecipe(
        kind="pretrain", title="t", hardware=Hardware(minutes=1), tokens=str(tiny_tokens), output=str(folder / "model"),
        tokenizer=str(tiny_tokenizer), shape=pretrain.Shape(layers=2, heads=2, width=32, positions=LENGTH),
        schedule=pretrain.Schedule(total=ROWS * LENGTH * STEPS), rows_per_step=ROWS, rows_per_pass=ROWS,
        evaluate_every=5, evaluate_rows=8, precision="fp32", compiled=False,
    )  # fmt: skip
    run = opened(recipe, "pretrain-tiny", folder / "results")
    pretrain.run(recipe, run)
    return finished(run)


@pytest.fixture(scope="module")
def tuned(pretrained: Facts, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """A fine-tuning run of that model on four instructions."""
    pytest.importorskip("trl")
    from codelab.train import sft

    folder = tmp_path_factory.mktemp("sft")
    pairs = [{"text": "x", "code": "y=1", "entry_point": f"f{i}", "source": "a/b:c.py"} for i in range(4)]
    path = folder / "instructions.jsonl.zst"
    path.write_bytes(zstandard.compress("".join(json.dumps(row) + "\n" for row in pairs).encode()))
    recipe = sft.SftRecipe(
        kind="sft", title="t", hardware=Hardware(minutes=1), output=str(folder / "tuned"),
        model=f"path:{pretrained.record.recipe.values['output']}", steps=6, batch=2, pairs_per_pass=2, length=LENGTH,
        precision="fp32", mix=sft.Mix(mbpp_repeats=0, instructions=str(path)),
    )  # fmt: skip
    run = opened(recipe, "sft-tiny", folder / "results")
    sft.run(recipe, run)
    return finished(run)


def evaluated(folder: Path, solved: int, settings: tuple[str, ...] = ("greedy", "t0.6")) -> Facts:
    """An evaluation of four tasks whose numbers the evaluator's own code makes."""
    from codelab.evaluate.report import summarise

    class Asked(Recipe):
        questions: dict[str, str]

    asked = Asked(kind="evaluate", title="t", hardware=Hardware(minutes=1), questions={"split": "test"})
    run = opened(asked, "evaluate-tiny", folder)
    rows = [
        {"split": "test", "setting": name, "task_id": task, "seed": 0, "passed": task < 11 + solved, "failure": "none",
         "finish": "eos", "tokens": 3, "tests_passed": 3, "tests_total": 3}
        for name in settings for task in range(11, 15) for _ in range(1 if name == "greedy" else 10)
    ]  # fmt: skip
    summarise(run, rows, "test", (1, 10), frozenset())
    return finished(run)


def test_the_training_curve_is_the_mean_of_equal_stretches(pretrained: Facts) -> None:
    every = base.training_curve({"a": pretrained})
    assert every["step"].tolist() == list(range(1, STEPS + 1))
    assert every["tokens_m"].tolist() == pytest.approx([ROWS * LENGTH * step / 1e6 for step in range(1, STEPS + 1)])
    few = base.training_curve({"a": pretrained, "b": pretrained}, points=4)
    assert few["step"].tolist() == [3, 6, 9, 12] * 2
    assert few["name"].tolist() == ["a"] * 4 + ["b"] * 4
    assert few["loss"].tolist()[:4] == pytest.approx([every["loss"][i : i + 3].mean() for i in (0, 3, 6, 9)])


def test_the_largest_jump_is_a_rise(pretrained: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    monkeypatch.setattr(Facts, "steps", lambda _: pd.DataFrame({"loss": [9.0, 1.0, None, 3.5, 2.0, 4.0]}))
    assert base.largest_jump(pretrained) == 2.5


def test_the_held_out_curve_has_every_look_and_the_text_read(pretrained: Facts) -> None:
    curve = base.heldout_curve({"a": pretrained})
    assert curve["step"].tolist() == [5, 10, 12]
    assert curve["bits"].iloc[-1] == pytest.approx(pretrained.number("heldout_bits_per_byte"))
    assert curve["text_mb"].iloc[-1] == pytest.approx(pretrained.number("text_bytes") / 1e6)
    del pretrained.record.metrics["text_bytes"]
    try:
        assert base.heldout_curve({"a": pretrained})["text_mb"].isna().all()
        with pytest.raises(UserError, match="text_bytes"):
            base.tokenizers({"a": pretrained})
        assert base.throughput({"a": pretrained})[0]["tokens"] == ROWS * LENGTH * STEPS
    finally:
        pretrained.record.metrics["text_bytes"] = curve_metric(curve["text_mb"].iloc[-1] * 1e6)


def curve_metric(value: float) -> Any:
    from codelab.records import Metric

    return Metric(value=value, unit="bytes")


def test_throughput_and_tokenizers_agree_with_the_run(pretrained: Facts) -> None:
    (row,) = base.throughput({"a": pretrained})
    assert row["rate"] == pytest.approx(row["tokens"] / row["seconds"])
    assert (row["devices"], row["device_rate"], row["mfu"], row["sittings"]) == (1, row["rate"], None, 1)
    assert row["median_rate"] == pytest.approx(pretrained.steps()["tokens_per_second"].median())
    (row,) = base.tokenizers({"a": pretrained})
    assert row["bytes_per_token"] * row["tokens"] == pytest.approx(pretrained.number("text_bytes"))
    assert row["text_rate"] == pytest.approx(row["bytes_per_token"] * row["rate"])


@pytest.mark.slow
def test_the_data_mixes_stand_beside_their_scores_and_the_base_before_them(tuned: Facts, tmp_path: Path) -> None:
    scored = {"mix": evaluated(tmp_path / "a", 2), "base": evaluated(tmp_path / "b", 0)}
    first, second = base.mixes({"mix": tuned}, scored)
    assert (first["name"], first["steps"], first["greedy"]) == ("base", None, 0.0)
    assert (second["mbpp"], second["instructions"], second["pairs"], second["epochs"]) == (0, 4, 4, 3.0)
    assert second["loss"] == tuned.number("final_loss")
    assert (second["rate"], second["test"], first["test"]) == (tuned.record.recipe.values["rate"], None, None)
    tuned.record.metrics["loss.test"] = curve_metric(1.25)
    try:
        assert base.training(tuned)["test"] == 1.25
    finally:
        del tuned.record.metrics["loss.test"]
    assert (second["setting"], second["greedy"], second["ten"]) == ("T = 0.6", 0.5, 0.5)
    assert second["ten_low"] < 0.5 < second["ten_high"]
    curve = base.training_curve({"mix": tuned}, points=3)
    assert curve["step"].tolist() == [2, 4, 6]
    assert "tokens_m" not in curve
    assert curve["epoch"].tolist() == pytest.approx([1.0, 2.0, 3.0])


@pytest.mark.slow
def test_a_mix_without_its_evaluation_or_with_two_temperatures_is_refused(tuned: Facts, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mix: no evaluation"):
        base.mixes({"mix": tuned}, {})
    two = evaluated(tmp_path, 1, ("greedy", "t0.6", "t0.8"))
    with pytest.raises(UserError, match=r"expected one temperature, got t0\.6, t0\.8"):
        base.mixes({"mix": tuned}, {"mix": two})


def test_gains_are_points_in_the_order_asked_for(tmp_path: Path) -> None:
    run = opened(Recipe(kind="compare", title="t", hardware=Hardware(minutes=1)), "compare-tiny", tmp_path)
    for key, value in (("a", 0.25), ("b", -0.5)):
        run.metric(f"{key}.greedy.pass@1.difference", value, low=value - 0.125, high=value + 0.125, n=8)
    run.metric("c.greedy.pass@1.difference", 0.5)
    found = finished(run)
    assert base.gains(found, "greedy.pass@1", {"b": "B", "a": "A"}) == [
        {"name": "B", "value": -50, "low": -62.5, "high": -37.5, "tasks": 8},
        {"name": "A", "value": 25, "low": 12.5, "high": 37.5, "tasks": 8},
    ]
    with pytest.raises(UserError, match="no interval"):
        base.gains(found, "greedy.pass@1", {"c": "C"})
    with pytest.raises(UserError, match=r"sampled\.pass@10"):
        base.gains(found, "sampled.pass@10", {"a": "A"})
