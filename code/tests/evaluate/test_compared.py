"""Evaluations compared as a record: the newest ones, paired, with names that do not depend on a temperature."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from codelab.errors import UserError
from codelab.evaluate.compared import RECIPE, CompareRecipe, newest
from codelab.evaluate.compared import run as compare
from codelab.records import Environment, Record, open_run, read_record

from .test_comparison import record, several

RECIPES = Path(__file__).resolve().parents[3] / "recipes"


def recipe(**pairs: dict[str, str]) -> CompareRecipe:
    return RECIPE.model_validate({"kind": "compare", "title": "t", "hardware": {"minutes": 1}, "pairs": pairs})


def compared(results: Path, wanted: CompareRecipe) -> Record:
    run = open_run(wanted, "compare", results, [])
    run.environment(Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}), None)
    compare(wanted, run)
    return read_record(run.finish())


def test_differences_are_paired_and_named_by_what_was_asked_not_by_the_temperature(tmp_path: Path) -> None:
    record(tmp_path, "base", lambda setting, task, index: task < 15)
    record(tmp_path, "good", lambda setting, task, index: task < 30, temperatures=[0.2])
    found = compared(tmp_path, recipe(up={"first": "base", "second": "good"}, same={"first": "base", "second": "base"}))
    up = found.metrics["up.greedy.pass@1.difference"]
    assert (up.value, up.n) == (pytest.approx(15 / 40), 40)
    assert up.low is not None
    assert up.low > 0
    assert found.metrics["up.sampled.pass@2.difference"].value == pytest.approx(15 / 40)
    assert found.metrics["up.greedy.pass@1.difference.p"].value == pytest.approx(2 / 2**15)
    assert found.metrics["same.sampled.pass@1.difference"].value == 0
    rows = {(row["pair"], row["setting"], row["k"]): row for row in found.tables["comparison"]}
    assert rows["up", "t0.6", 1]["other_setting"] == "t0.2"
    assert (rows["up", "greedy", 1]["verdict"], rows["same", "greedy", 1]["verdict"]) == (
        "better",
        "no difference shown",
    )
    assert [data.name for data in found.data] == ["base", "good"]
    assert all(data.source.startswith(f"file:{data.name}/") and data.sha256 for data in found.data)


def test_tasks_that_a_recipe_leaves_out_count_in_no_pair(tmp_path: Path) -> None:
    def words(setting: str, task: int, index: int) -> dict[str, str]:
        return {"text": f"mine {index}" if task == 11 else "same"}

    record(tmp_path, "base", lambda *_: False, extra=lambda *_: {"text": "same"})
    record(tmp_path, "good", lambda setting, task, index: task < 21, extra=words)
    wanted = recipe(up={"first": "base", "second": "good"})
    found = compared(tmp_path, wanted.model_copy(update={"without": [11, 12]})).metrics
    for name in ("greedy.pass@1", "sampled.pass@2"):
        one = found[f"up.{name}.difference"]
        assert (one.value, one.n) == (pytest.approx(8 / 38), 38)
    assert (found["up.greedy.identical"].value, found["up.greedy.identical"].n) == (1, 38)
    with pytest.raises(UserError, match="no completion to task 9, which is to be left out"):
        compared(tmp_path, wanted.model_copy(update={"without": [9, 11]}))


def test_the_newest_success_counts_and_a_missing_one_is_one_line(tmp_path: Path, monkeypatch: Any) -> None:
    first = record(tmp_path, "base", lambda *_: False)
    later = first.with_name("20991231T000000Z-cpu")
    first.rename(later)
    path = later / "record.json"
    path.write_text(path.read_text().replace('"started": "20', '"started": "21'))
    record(tmp_path, "base", lambda *_: True)
    assert newest(tmp_path, "base", None) == later
    path.write_text(path.read_text().replace('"state": "ok"', '"state": "failed"'))
    assert newest(tmp_path, "base", "cpu") != later
    with pytest.raises(UserError, match="base: no successful run on H100"):
        newest(tmp_path, "base", "H100")
    with pytest.raises(UserError, match="gone: no successful run to compare"):
        compared(tmp_path, recipe(up={"first": "base", "second": "gone"}))


def test_a_named_run_is_compared_although_a_newer_one_is_there(tmp_path: Path) -> None:
    first = record(tmp_path, "base", lambda *_: False)
    early = first.rename(first.with_name("20200101T000000Z-cpu"))
    path = early / "record.json"
    path.write_text(path.read_text().replace('"started": "20', '"started": "19'))
    record(tmp_path, "base", lambda setting, task, index: task < 30)
    name = f"base/{early.name}"
    assert newest(tmp_path, "base", None) != newest(tmp_path, name, None) == early
    found = compared(tmp_path, recipe(since={"first": name, "second": "base"}))
    assert found.metrics["since.greedy.pass@1.difference"].value == pytest.approx(19 / 40)  # tasks begin at 11
    assert [data.name for data in found.data] == [name, "base"]
    with pytest.raises(UserError, match="base/gone: no successful run to compare"):
        newest(tmp_path, "base/gone", None)
    for state, found_too in (("stopped", True), ("failed", False)):
        text = read_record(early).model_dump_json(indent=1)
        (early / "record.json").write_text(text.replace('"state": "ok"', f'"state": "{state}"'))
        if found_too:
            assert newest(tmp_path, name, None) == early
        else:
            with pytest.raises(UserError, match="no successful run"):
                newest(tmp_path, name, None)
        (early / "record.json").write_text(text)


def test_greedy_texts_are_counted_where_both_have_them(tmp_path: Path) -> None:
    def words(setting: str, task: int, index: int) -> dict[str, str]:
        return {"text": "same" if task < 31 else "mine"}

    record(tmp_path, "one", lambda *_: True, extra=words)
    record(tmp_path, "other", lambda *_: True, extra=lambda *_: {"text": "same"})
    record(tmp_path, "silent", lambda *_: True)
    several(tmp_path, "arms", ["start"], lambda *_: True)
    pairs = {"pair": {"first": "one", "second": "other"}, "mute": {"first": "one", "second": "silent"}}
    arm = {"arm": {"first": "one", "second": "arms", "second_model": "start"}}
    found = compared(tmp_path, recipe(**pairs, **arm)).metrics
    share = found["pair.greedy.identical"]
    assert (share.value, share.n, share.method) == (20 / 40, 40, "Wilson")
    assert [name for name in found if name.endswith("identical")] == ["pair.greedy.identical"]
    assert found["arm.greedy.pass@1.difference"].value == 0


def test_the_runs_that_recipes_name_are_recorded() -> None:
    pairs = [
        pair
        for path in RECIPES.glob("compare-*.yaml")
        for pair in RECIPE.model_validate(yaml.safe_load(path.read_text())).pairs.values()
    ]
    named = {name for pair in pairs for name in (pair.first, pair.second) if "/" in name}
    assert named
    assert [name for name in named if not (RECIPES.parent / "results" / name / "record.json").exists()] == []


def test_the_recipe_of_the_data_mixes_names_what_the_evaluations_are_called() -> None:
    from codelab.cli.evaluate import slug

    wanted = RECIPE.model_validate(yaml.safe_load((RECIPES / "compare-gpt2-mixes.yaml").read_text()))
    outputs = [yaml.safe_load(path.read_text())["output"] for path in RECIPES.glob("sft-gpt2*.yaml")]
    outputs.append(yaml.safe_load((RECIPES / "pretrain-gpt2.yaml").read_text())["output"])
    own = yaml.safe_load((RECIPES / "evaluate-gpt2-python.yaml").read_text())["answers"]["model"]
    names = {
        "evaluate-gpt2-python" if f"path:{output}" == own else f"evaluate-gpt2-python-{slug(output)}"
        for output in outputs
    }
    assert {name for pair in wanted.pairs.values() for name in (pair.first, pair.second)} <= names


def test_a_pair_may_average_the_trainings_of_a_record(tmp_path: Path) -> None:
    several(tmp_path, "arms", ["seed0"], lambda setting, task, index: task < 31)
    record(tmp_path, "base", lambda setting, task, index: task < 21)
    pair: dict[str, Any] = {"first": "base", "second": "arms", "second_model": ["seed0", "seed0"]}
    found = compared(tmp_path, recipe(all=pair)).metrics
    assert found["all.sampled.pass@1.difference"].value == pytest.approx(10 / 40)
    assert "all.greedy.identical" not in found, "two answers a task have no one text"
    with pytest.raises(ValueError, match="second_model"):
        recipe(all=pair | {"second_model": []})
