"""The whole experiment on a tiny random model: record, resume after kill -9, temperature selection."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip("torch")

from codelab.cli.registry import load
from codelab.cli.run import execute
from codelab.errors import UserError
from codelab.evaluate import experiment
from codelab.models.transformers_generation import TransformersGenerator
from codelab.records import read_record, read_samples, read_steps, verify_files

from ..models.tiny import model as random_model
from ..models.tiny import tokenizer
from .small import FakePool, data

CODE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    random_model(positions=512).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def world(tmp_path, monkeypatch, model):
    """A recipe maker in a folder with data and a judge without processes."""
    monkeypatch.setattr("codelab.tasks.mbpp.SHA256", "")
    rows = data(tmp_path / "mbpp.jsonl", range(1, 19))
    monkeypatch.setattr(experiment, "Pool", FakePool)

    def recipe(name: str = "tiny", **changes) -> Path:
        values = {
            "kind": "evaluate",
            "title": "A tiny model",
            "hardware": {"minutes": 1},
            "answers": {"model": f"path:{model}", "dtype": "float32", "device": "cpu"},
            "questions": {"source": str(rows), "split": "test", "prompt": "docstring"},
            "samples": 4,
            "temperatures": [0.8],
            "k": [1, 3],
            "max_new_tokens": 8,
            "chunk_tasks": 4,
            "judging": {"workers": 1, "calibrate": False},
        } | changes
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return recipe


def untimed(samples):
    return [{key: value for key, value in sample.items() if key != "seconds"} for sample in samples]


def test_record_holds_every_sample_its_verdict_and_scores_with_intervals(world, tmp_path):
    folder = execute(load(world()), tmp_path / "results")
    record, samples = read_record(folder), read_samples(folder)
    verify_files(folder, record)
    assert len(samples) == 8 * (1 + 4)
    assert {(s["setting"], s["index"]) for s in samples} == {("greedy", 0), *(("t0.8", i) for i in range(4))}
    assert {"text", "finish", "tokens", "passed", "failure", "tests_passed"} <= samples[0].keys()
    greedy = record.metrics["greedy.pass@1"]
    passed = sum(sample["passed"] for sample in samples if sample["setting"] == "greedy")
    assert (greedy.value, greedy.n, greedy.method) == (passed / 8, 8, "Wilson")
    sampled = record.metrics["t0.8.pass@3"]
    assert 0 <= sampled.low < sampled.value < sampled.high <= 1
    assert "bootstrap" in sampled.method
    assert {phase.name for phase in record.phases} == {"load", "warm-up", "generate", "execute"}
    assert record.metrics["one_liner_tasks"].value == 4
    shares = [row["share"] for row in record.tables["failures"] if row["group"] == "test t0.8"]
    assert sum(shares) == pytest.approx(1)
    assert record.tables["conditions"][0]["prompt"] == "docstring"
    assert any("network" in note for note in record.notes)
    assert record.models[0].parameters > 1000
    assert record.data[0].sha256


def test_killed_run_continues_to_the_same_samples(world, tmp_path):
    recipe, rows = world(temperatures=[0.6, 0.9], chunk_tasks=2), tmp_path / "mbpp.jsonl"
    whole = execute(load(recipe), tmp_path / "unbroken")
    command = [sys.executable, str(CODE / "tests/evaluate/child.py"), str(recipe), str(tmp_path / "killed"), str(rows)]
    environment = {**os.environ, "PYTHONPATH": str(CODE), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 400
        while sum(path.read_bytes().count(b"\n") for path in (tmp_path / "killed").glob("*/.*/steps.jsonl")) < 3:
            assert child.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    partial = next((tmp_path / "killed").glob("*/.*.partial"))
    with (partial / "samples.jsonl").open("a", encoding="utf-8") as handle:
        handle.write('{"split": "test", "setting": "t0.9", "task_id": 99}\n{"cut sh')
    subprocess.run(command, env=environment, check=True, capture_output=True)
    final = next(path for path in (tmp_path / "killed" / "tiny").iterdir() if not path.name.startswith("."))
    broken, unbroken = read_record(final), read_record(whole)
    assert broken.resumed == 1
    assert untimed(read_samples(final)) == untimed(read_samples(whole))
    scores = {name: metric for name, metric in unbroken.metrics.items() if "second" not in name}
    assert {name: metric for name, metric in broken.metrics.items() if "second" not in name} == scores
    assert [step["chunk"] for step in read_steps(final)] == [step["chunk"] for step in read_steps(whole)]


def test_temperature_is_chosen_on_the_other_split(world, tmp_path, monkeypatch):
    monkeypatch.setattr(
        FakePool, "judge", lambda self, samples: (verdict(s) for s in list(samples))
    )  # only the second temperature's texts differ in a way that this judge rewards

    def verdict(sample):
        from codelab.sandbox import Verdict

        return Verdict(*sample.key, len(set(sample.program)) > 9, "none" if len(set(sample.program)) > 9 else "syntax")

    select = {"temperatures": [0.05, 3.0], "split": "prompting", "samples": 2}
    recipe = world(temperatures=[], select_temperature=select, greedy=False)
    record = read_record(execute(load(recipe), tmp_path / "results"))
    chosen = record.metrics["selected_temperature"].value
    table = {row["temperature"]: row["value"] for row in record.tables["temperatures"]}
    assert set(table) == {0.05, 3.0}
    assert table[chosen] == max(table.values())
    assert f"t{chosen:g}.pass@1" in record.metrics
    assert f"prompting.t{chosen:g}.pass@1" in record.metrics
    assert f"t{next(value for value in table if value != chosen):g}.pass@1" not in record.metrics


def test_seeds_are_pooled_and_their_spread_is_reported(world, tmp_path):
    record = read_record(execute(load(world(seeds=[0, 1, 2], samples=2)), tmp_path / "results"))
    assert record.metrics["t0.8.pass@1.seeds"].n == 3
    assert record.metrics["t0.8.pass@3"].n == 8
    assert "seeds" in record.metrics["t0.8.pass@1.seeds"].method


def test_prompts_that_do_not_fit_are_counted_as_unsolved(world, tmp_path, model, monkeypatch):
    monkeypatch.setattr(TransformersGenerator, "context", property(lambda self: 114))
    recipe = world(greedy=True, temperatures=[], chunk_tasks=5)
    folder = execute(load(recipe), tmp_path / "results")
    record, samples = read_record(folder), read_samples(folder)
    long = [sample for sample in samples if sample["failure"] == "prompt_too_long"]
    assert 0 < len(long) < len(samples) == 8
    assert record.metrics["prompts_too_long"].value == len(long)
    assert record.metrics["greedy.pass@1"].n == 8
    assert not any(sample["passed"] or sample["text"] for sample in long)


def test_stop_after_pauses_and_the_same_command_finishes(world, tmp_path):
    import typer

    loaded = load(world(chunk_tasks=2))
    with pytest.raises(typer.Exit) as paused:
        execute(loaded, tmp_path / "results", stop_after=0.001)
    assert paused.value.exit_code == 75
    del paused  # its traceback keeps the run, and so its lock
    gc.collect()
    assert len(read_samples(execute(loaded, tmp_path / "results"))) == 8 * 5


def test_sandbox_that_fails_twice_is_an_error_and_once_is_not(world, tmp_path, monkeypatch):
    from codelab.sandbox import Verdict

    calls = []

    def judge(self, samples):
        samples = list(samples)
        calls.append(len(samples))
        for sample in samples:
            broken = sample.task.task_id == 12 and len(samples) > limit
            yield Verdict(*sample.key, not broken, "sandbox_error" if broken else "none", "server gone")

    monkeypatch.setattr(FakePool, "judge", judge)
    limit = 1
    folder = execute(load(world(temperatures=[])), tmp_path / "results")
    assert read_record(folder).metrics["greedy.pass@1"].value == 1
    assert calls.count(1) == 1
    limit = 0
    with pytest.raises(RuntimeError, match="failed twice on task 12"):
        execute(load(world("again", temperatures=[])), tmp_path / "results")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": [], "greedy": False}, "nothing to do"),
        ({"k": [1, 5]}, "every k needs"),
        ({"temperatures": [0.0]}, "above 0"),
        ({"questions": {"prompt": "poem"}}, "expected one of"),
        ({"answers": {"model": "scratch:gpt2"}}, "nothing to evaluate"),
        ({"answers": {"model": "nowhere"}}, "model source"),
        ({"backend": "vllm", "answers": {"model": "pypi:smollm2-135m", "quantization": {"method": "int8"}}}, "backend"),
        ({"select_temperature": {"temperatures": [0.2, 0.8], "split": "test"}, "temperatures": []}, "another split"),
        ({"smaples": 3}, "unknown key"),
    ],
)
def test_impossible_recipes_name_the_reason(world, changes, message):
    with pytest.raises(UserError, match=message):
        load(world(**changes))


def test_missing_engine_is_said_before_any_work(world, tmp_path, monkeypatch):
    monkeypatch.setattr("codelab.evaluate.engines.importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs vllm, not installed here; run: make setup-gpu"):
        execute(load(world(backend="vllm")), tmp_path / "results")
    assert list((tmp_path / "results").glob("*/*")) == []


def test_missing_model_folder_leaves_nothing_behind(world, tmp_path):
    recipe = world(answers={"model": f"path:{tmp_path / 'absent'}", "device": "cpu"})
    with pytest.raises(UserError, match="expected a folder with"):
        execute(load(recipe), tmp_path / "results")
    assert list((tmp_path / "results").glob("*/*")) == []
