"""The cost comparison: its arithmetic, its cells after a kill, and the whole of it on a CPU with tiny weights."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from codelab.cli.registry import load
from codelab.errors import Paused, UserError
from codelab.measure.child import ChildError
from codelab.records import Run, open_run, read_record, read_steps
from codelab.tasks import mbpp
from codelab.train.engines import experiment, report
from codelab.train.engines.recipe import EnginesRecipe

ROOT = Path(__file__).resolve().parents[4]
TINY = ROOT / "recipes" / "q9-engines-tiny-cpu.yaml"


def recipe(**changes: Any) -> EnginesRecipe:
    return EnginesRecipe.model_validate(yaml.safe_load(TINY.read_text(encoding="utf-8")) | changes)


@pytest.fixture
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    code = "def f_{i}(a, b):\n    total = a\n    for k in range(b):\n        total += k * {i}\n    return total"
    rows = [
        {
            "task_id": i, "text": f"Add the multiples of {i} to a number.", "code": code.format(i=i),
            "test_setup_code": "", "test_list": [f"assert f_{i}(1, 1) == 1"], "challenge_test_list": [],
        }
        for i in range(11, 17)
    ]  # fmt: skip
    path = tmp_path / "mbpp.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(mbpp, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv("CODELAB_CACHE", str(tmp_path / "cache"))
    return {"source": str(path), "split": "test", "prompt": "docstring"}


@pytest.mark.slow
def test_the_whole_comparison_on_a_cpu(questions: dict[str, Any], tmp_path: Path) -> None:
    from codelab.cli.run import execute

    path = tmp_path / "tiny.yaml"
    values = yaml.safe_load(TINY.read_text(encoding="utf-8")) | {"questions": questions, "methods": ["lora"]}
    path.write_text(yaml.safe_dump(values | {"restarts": []}))
    folder = execute(load(path), tmp_path / "results")
    record = read_record(folder)
    cells = {row["key"]: row for row in record.tables["cells"]}
    groups = ("sample.tiny-gpt2.transformers", "sample.tiny-gpt2.vllm", "train.tiny-gpt2.trl.lora")
    assert list(cells) == [f"{group}.cold" for group in (*groups, "train.tiny-gpt2.unsloth.lora")]
    for key in ("sample.tiny-gpt2.vllm.cold", "train.tiny-gpt2.unsloth.lora.cold"):
        assert cells[key]["failed"].startswith("not installed: ")
        assert "make setup-gpu" in cells[key]["failed"]
        assert cells[key]["start_seconds"] is None
    sampled, trained = cells["sample.tiny-gpt2.transformers.cold"], cells["train.tiny-gpt2.trl.lora.cold"]
    assert sampled["start_seconds"] == pytest.approx(sampled["import"] + sampled["load"] + sampled["warm_up"])
    assert sampled["evaluated"] == 6
    assert sampled["cpu_peak"] > 50_000_000
    # Two blocks, adapters of rank 4 on matrices of 64x192, 64x64, 64x256 and 256x64.
    assert trained["trained_parameters"] == 2 * 4 * ((64 + 192) + (64 + 64) + (64 + 256) + (256 + 64))
    rates = {(row["length"], row["count"]): row for row in record.tables["sampling"]}
    assert rates.keys() == {(128, 4), (128, 8), (192, 4), (192, 8)}
    assert rates[128, 8]["repeats"] == 3
    assert rates[128, 8]["tokens_per_second"] == pytest.approx(8 * 16 / rates[128, 8]["seconds"])
    steps = {row["length"]: row for row in record.tables["training"]}
    assert steps[192]["tokens_per_second"] == pytest.approx(2 * 2 * 192 / steps[192]["seconds"])
    assert steps[192]["repeats"] == 3
    (whole,) = [row for row in record.tables["factorial"] if row["length"] == 192 and row["start"] == "cold"]
    assert whole["train"] == pytest.approx(10 * steps[192]["seconds"])
    (asked,) = record.tables["asked"]
    assert (asked["engine"], asked["repeats"], asked["completions"]) == ("transformers", 2, 4)
    assert 0 < asked["tokens"] <= 16
    assert whole["sample"] == pytest.approx(100 * asked["seconds"] / 4), "a job asks real questions"
    assert record.metrics["tiny-gpt2.transformers.asked.completions_per_second"].n == 2
    assert record.tables["break_even"] == []
    looks = read_steps(folder)
    phases = list(dict.fromkeys(row["phase"] for row in looks if row["cell"] == "train.tiny-gpt2.trl.lora.cold"))
    assert [name for name in phases if name[-1].isdigit()] == ["warm-up 128", "train 128", "warm-up 192", "train 192"]
    assert all(int(row["cpu"]) > 0 for row in looks)
    assert {phase.variant for phase in record.phases} == {sampled["key"], trained["key"]}


def answer(**more: Any) -> dict[str, Any]:
    phase = {"seconds": 1.0, "cpu_peak": 10, "gpu_allocated": 5, "gpu_device": 50, "gpu_reserved": None, "variant": "v"}
    looks = [{"t": 0.0, "phase": "load", "cpu": 1, "gpu_device": None, "gpu_allocated": None}]
    phases = [{"name": name} | phase for name in ("import", "load", "warm-up")]
    return {"phases": phases, "looks": looks} | more


def sampling(scale: float) -> list[dict[str, Any]]:
    counts = [(4, 0), (8, 0), (8, 1), (8, 2)]
    return [
        {"length": length, "count": count, "repeat": repeat, "seconds": scale * count * (1 + repeat / 10)}
        for length in (128, 192)
        for count, repeat in counts
    ]


def training(scale: float) -> list[dict[str, Any]]:
    return [
        {"length": length, "step": i, "warm": i == 0, "seconds": scale * (5 if i == 0 else 1 + i / 100),
         "gpu_allocated": int(1000 * scale) + i}
        for length in (128, 192) for i in range(7)
    ]  # fmt: skip


class Pretend:
    """Answers for cells; ``asked`` are the keys in order."""

    def __init__(self, stop_after: int | None = None, fail: str = "") -> None:
        self.asked: list[str] = []
        self.caches: dict[str, bool] = {}
        self.stop_after, self.fail = stop_after, fail

    def __call__(self, target: str, payload: dict[str, Any], timeout: float | None = None) -> dict[str, Any]:
        if target.endswith("materialise"):
            folder = Path(payload["folder"])
            folder.mkdir(parents=True)
            (folder / "config.json").write_text("{}")
            return {}
        if len(self.asked) == self.stop_after:
            raise KeyboardInterrupt
        cell = payload["cell"]
        key = ".".join(filter(None, (cell["role"], cell["model"], cell["engine"], cell["method"], cell["start"])))
        self.asked.append(key)
        self.caches[key] = any(Path(payload["caches"]).iterdir())
        (Path(payload["caches"]) / "kernel").write_text("compiled")
        if self.fail and self.fail in key:
            raise ChildError("worker:measure: Engine core initialization failed")
        if cell["role"] == "train":
            return answer(training=training(2.0 if cell["engine"] == "unsloth" else 1.0), trained_parameters=3)
        fast = cell["engine"] == "vllm"
        more = {"gpu_reserved": 77, "engine_allocated": 88} if fast else {}
        made = answer(sampling=sampling(0.1 if fast else 1.0), evaluated={"completions": 6, "left_out": 0}, **more)
        if fast:
            made["phases"][1]["seconds"] = 20.0
        return made


@pytest.fixture
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment.engines, "require", lambda backend: None)
    monkeypatch.setattr(experiment, "require", lambda trainer: None)


def run_of(wanted: EnginesRecipe, folder: Path) -> Run:
    return open_run(wanted, "engines", folder, [])


@pytest.mark.usefixtures("everything_installed")
def test_a_killed_run_measures_only_what_has_no_answer(
    questions: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = recipe(questions=questions)
    first, second = Pretend(stop_after=5), Pretend()
    run = run_of(wanted, tmp_path)
    monkeypatch.setattr(experiment, "run_in_child", first)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(wanted, run)
    monkeypatch.setattr(experiment, "run_in_child", second)
    experiment.run(wanted, run)
    keys = [cell.key for cell in wanted.cells()]
    assert first.asked + second.asked == keys
    assert len(keys) == 12
    starts = first.caches | second.caches
    assert all(full == key.endswith(".warm") for key, full in starts.items()), "cold: empty caches; warm: full ones"
    assert not list(run.work.glob("caches/*/*")), "caches are given back"

    tables = run._state["tables"]
    (cell,) = [row for row in tables["cells"] if row["key"] == "sample.tiny-gpt2.vllm.cold"]
    assert (cell["gpu_reserved"], cell["gpu_allocated"], cell["gpu_device"]) == (77, 88, 50)
    assert cell["start_seconds"] == 22.0
    (taught,) = [row for row in tables["cells"] if row["key"] == "train.tiny-gpt2.trl.full.cold"]
    assert taught["warm_up"] == pytest.approx(5 - 1.035)
    assert taught["gpu_allocated"] == 1006
    speeds = {(row["engine"], row["length"], row["count"], row["method"]): row for row in tables["ratios"]}
    assert speeds["vllm", 128, 8, None]["speed"] == pytest.approx(10)
    assert speeds["vllm", 128, 8, None]["clear"] is True
    assert speeds["unsloth", 192, None, "full"]["speed"] == pytest.approx(0.5)
    assert speeds["unsloth", 192, None, "full"]["memory"] == pytest.approx(2006 / 1006)
    # At 16 completions transformers has spent 3 s and two batches of 8.8 s, vLLM 22 s and more than 1 s; with the third
    # batch transformers falls behind.
    (row,) = [r for r in tables["break_even"] if r["length"] == 128 and r["start"] == "cold"]
    assert (row["start_seconds"], row["against_start_seconds"]) == (22.0, 3.0)
    assert row["completions"] == 17
    assert {(r["sampling"], r["training"], r["method"]) for r in tables["factorial"]} == {
        (sampler, trainer, method) for sampler in ("transformers", "vllm") for trainer in ("trl", "unsloth")
        for method in ("full", "lora")
    }  # fmt: skip
    steps = run.steps_so_far()
    assert [row["cell"] for row in steps] == keys
    assert "gpu_device" not in steps[0]


@pytest.mark.usefixtures("everything_installed")
def test_a_failed_cell_is_recorded_and_the_others_are_measured(
    questions: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = recipe(questions=questions, restarts=[])
    monkeypatch.setattr(experiment, "run_in_child", Pretend(fail="vllm"))
    run = run_of(wanted, tmp_path)
    experiment.run(wanted, run)
    cells = {row["engine"]: row for row in run._state["tables"]["cells"]}
    assert "Engine core initialization failed" in cells["vllm"]["failed"]
    assert cells["transformers"]["failed"] is None
    assert {row["sampling"] for row in run._state["tables"]["factorial"]} == {"transformers"}
    monkeypatch.setattr(experiment, "run_in_child", Pretend(fail="."))
    with pytest.raises(RuntimeError, match="every cell failed"):
        experiment.run(wanted, run_of(wanted, tmp_path / "other"))


@pytest.mark.usefixtures("everything_installed")
def test_the_allowed_time_ends_between_cells(
    questions: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = recipe(questions=questions)
    pretend = Pretend()
    monkeypatch.setattr(experiment, "run_in_child", pretend)
    run = run_of(wanted, tmp_path)
    run.stop_after = 30.0
    with pytest.raises(Paused):
        experiment.run(wanted, run)
    assert pretend.asked == [], "no cell is begun that might not end"


def test_what_is_missing_is_one_line_or_a_row(questions: dict[str, Any], tmp_path: Path) -> None:
    wanted = recipe(questions=questions, skip_absent=False)
    with pytest.raises(UserError, match="make setup-gpu") as raised:
        experiment.run(wanted, run_of(wanted, tmp_path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["q9-engines", "q9-dpo-gpt2-unsloth-vllm", "q9-dpo-smollm2-lora-unsloth"])
def test_the_command_line_says_in_one_line_what_to_install(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "codelab", "run", f"recipes/{name}.yaml", "--dry-run"],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "code")}, capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "not installed here; run: make setup-gpu" in line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samplers": {}, "trainers": []}, "samplers, trainers or both"),
        ({"restarts": ["gpt3"]}, "not one of models"),
        ({"lengths": [16]}, "leave room for a prompt"),
        ({"sampling": {"counts": [8, 4], "per_prompt": 2}}, "must rise"),
        ({"sampling": {"counts": [5], "per_prompt": 2}}, "multiples"),
        ({"training": {"batch": 3, "pairs_per_pass": 2}}, "multiple of pairs_per_pass"),
        ({"models": {"a": {"source": "scratch:nothing", "targets": ["x"]}}}, "scratch"),
        ({"models": {"a.b": {"source": "scratch:gpt2", "targets": ["x"]}}, "restarts": []}, "no dots"),
    ],
)
def test_impossible_recipes_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(**changes)


def test_ratios_are_not_clear_where_repeats_meet() -> None:
    wanted = recipe(restarts=[], trainers=[])
    slow = {"sample.tiny-gpt2.transformers.cold": answer(sampling=sampling(1.0)),
            "sample.tiny-gpt2.vllm.cold": answer(sampling=sampling(0.9))}  # fmt: skip
    rows = report.ratios(wanted, report.sampling_rates(wanted, slow), [])
    assert [row["clear"] for row in rows if row["count"] == 8] == [False, False]
