"""Two records compared, and refused where they do not answer the same questions."""

import json

import pytest
from typer.testing import CliRunner

from codelab.cli import verbs  # noqa: F401 - registers the verbs
from codelab.cli.app import app
from codelab.cli.evaluate import slug
from codelab.errors import UserError
from codelab.evaluate import comparison
from codelab.evaluate.comparison import compare_records
from codelab.evaluate.experiment import RECIPE
from codelab.records import open_run, read_samples
from codelab.records.schema import DataFacts, Environment

VALUES = {
    "kind": "evaluate",
    "title": "t",
    "hardware": {"minutes": 1},
    "answers": {"model": "pypi:smollm2-135m"},
    "questions": {"prompt": "chat"},
    "samples": 4,
    "k": [1, 2],
    "temperatures": [0.6],
    "max_new_tokens": 8,
}


def record(tmp_path, name, passed, sha="a", extra=None, **changes):
    """A record of 40 tasks: ``passed(setting, task, index)`` says which pass, ``extra(…)`` adds to a sample."""
    recipe = RECIPE.model_validate(VALUES | changes)
    run = open_run(recipe, name, tmp_path, ["codelab"])
    run.environment(Environment(python="3", platform="p", cpu="c", cores=1, memory_bytes=1, packages={}), None)
    run.data(DataFacts(name="mbpp", source="file", sha256=sha * 64))
    for setting, n in (("greedy", 1), (f"t{recipe.temperatures[0]:g}", 4)):
        for task in range(11, 51):
            for index in range(n):
                more = extra(setting, task, index) if extra else {}
                row = {"split": "test", "setting": setting, "task_id": task, "index": index}
                run.sample(**row, passed=passed(setting, task, index), **more)
    return run.finish()


def several(tmp_path, name, models, passed, **changes):
    """The same as a record of kind ``dpo``: completions are of the ``models`` by turns."""

    def model(setting, task, index):
        return {"variant": models[index % len(models)]}

    folder = record(tmp_path, name, passed, extra=model, **changes)
    path = folder / "record.json"
    path.write_text(path.read_text().replace('"kind": "evaluate"', '"kind": "dpo"'))
    return folder


def test_a_clear_gain_is_better_and_a_coin_flip_is_not(tmp_path):
    base = record(tmp_path, "base", lambda setting, task, index: task < 15)
    better = record(tmp_path, "better", lambda setting, task, index: task < 30)
    found = {(item.setting, item.k): item for item in compare_records(base, better)}
    assert set(found) == {("greedy", 1), ("t0.6", 1), ("t0.6", 2)}
    greedy = found["greedy", 1]
    assert (greedy.first, greedy.second, greedy.verdict) == (4 / 40, 19 / 40, "better")
    assert (greedy.mcnemar.only_first, greedy.mcnemar.only_second) == (0, 15)
    assert greedy.mcnemar.p_value == pytest.approx(2 / 2**15)
    assert found["t0.6", 2].mcnemar is None
    assert {item.verdict for item in compare_records(better, base)} == {"worse"}
    moved = record(tmp_path, "moved", lambda setting, task, index: 13 <= task < 18)
    assert {item.verdict for item in compare_records(base, moved)} == {"no difference shown"}


def test_each_models_own_temperature_is_paired(tmp_path):
    base = record(tmp_path, "base", lambda *_: False)
    other = record(tmp_path, "other", lambda *_: True, temperatures=[0.2])
    assert ("t0.6", "t0.2") in {(item.setting, item.other_setting) for item in compare_records(base, other)}


def test_one_model_of_a_record_of_several_is_a_side_of_its_own(tmp_path):
    base = record(tmp_path, "base", lambda setting, task, index: task < 15)
    arms = several(tmp_path, "arms", ["start"], lambda setting, task, index: task < 30)
    found = {(item.setting, item.k): item for item in compare_records(base, arms, models=(None, "start"))}
    assert (found["greedy", 1].first, found["greedy", 1].second) == (4 / 40, 19 / 40)
    assert {item.verdict for item in found.values()} == {"better"}
    with pytest.raises(UserError, match="no completion of model 'gone' on the split 'test'"):
        compare_records(base, arms, models=(None, "gone"))
    with pytest.raises(UserError, match="kind 'dpo', expected 'evaluate'"):
        compare_records(base, arms)
    with pytest.raises(UserError, match="kind 'evaluate', expected 'dpo'"):
        compare_records(base, arms, models=("start", "start"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_new_tokens": 9}, "max_new_tokens"),
        ({"questions": {"prompt": "docstring"}}, "questions"),
        ({"sha": "b"}, "SHA"),
    ],
)
def test_other_questions_are_refused(tmp_path, changes, message):
    base, other = record(tmp_path, "base", lambda *_: True), record(tmp_path, "other", lambda *_: True, **changes)
    with pytest.raises(UserError, match=message):
        compare_records(base, other)


def test_verb_prints_a_line_a_setting_or_json(tmp_path):
    base = record(tmp_path, "base", lambda setting, task, index: task < 15)
    better = record(tmp_path, "better", lambda setting, task, index: task < 30)
    said = CliRunner().invoke(app, ["compare", str(base), str(better)])
    assert said.exit_code == 0
    assert "greedy pass@1: 10.00% → 47.50%" in said.stdout
    assert "McNemar 0 vs 15" in said.stdout
    rows = [
        json.loads(line)
        for line in CliRunner().invoke(app, ["compare", "--json", str(base), str(better)]).stdout.splitlines()
    ]
    assert rows[0]["verdict"] == "better"
    assert rows[0]["low"] < rows[0]["difference"] < rows[0]["high"]


@pytest.mark.parametrize(
    ("model", "name"),
    [("pypi:smollm2-135m", "smollm2-135m"), ("hub:openai-community/GPT2", "gpt2"), ("path:models/x_y/", "x-y")],
)
def test_model_names_in_folders(model, name):
    assert slug(model) == name


def test_evaluate_refuses_a_recipe_of_another_kind(tmp_path):
    path = tmp_path / "other.yaml"
    path.write_text(
        "kind: agreement\ntitle: t\nhardware: {minutes: 1}\nanswers: {model: 'pypi:smollm2-135m'}\n"
        "questions: {prompt: chat}\nmax_new_tokens: 4\n",
        encoding="utf-8",
    )
    said = CliRunner().invoke(app, ["evaluate", "--recipe", str(path)])
    assert isinstance(said.exception, UserError)
    assert "expected evaluate" in str(said.exception)


def test_trainings_of_a_recipe_are_averaged_task_by_task(tmp_path):
    start = several(tmp_path, "start", ["start"], lambda setting, task, index: task < 15)
    both = several(tmp_path, "both", ["a", "b"], lambda setting, task, index: task < (21, 31)[index % 2])
    pooled, one, other = (
        {(item.setting, item.k): item for item in compare_records(start, both, models=("start", names))}["t0.6", 1]
        for names in (("a", "b"), "a", ("b",))
    )
    assert (one.second, other.second, pooled.second) == pytest.approx((10 / 40, 20 / 40, 15 / 40))
    assert (pooled.difference.value, pooled.difference.n) == (pytest.approx(11 / 40), 40), "tasks, not trainings, count"
    assert {item.setting for item in compare_records(start, both, models=("start", ("a", "b")))} == {"t0.6"}


def test_samples_of_a_record_are_read_once_whatever_the_number_of_models(tmp_path, monkeypatch):
    start = several(tmp_path, "start", ["start"], lambda setting, task, index: task < 15)
    both = several(tmp_path, "both", ["a", "b", "c"], lambda setting, task, index: task < 30)
    read = []
    monkeypatch.setattr(comparison, "read_samples", lambda folder: read.append(folder) or read_samples(folder))
    compare_records(start, both, models=("start", ("a", "b", "c")))
    assert sorted(read) == sorted([start, both])
    read.clear()
    compare_records(both, both, models=("a", ("b", "c")))
    assert read == [both], "a record that is held against itself too"


def test_mcnemar_is_of_two_models_and_not_of_averages(tmp_path):
    start = several(tmp_path, "start", ["start"], lambda setting, task, index: task < 15)
    pairs = {
        names: compare_records(start, start, models=("start", names))[0] for names in ("start", ("start", "start"))
    }
    assert pairs["start"].mcnemar is not None
    assert pairs["start", "start"].mcnemar is None
