"""The doctor says what is there and what to do about what is not."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import pytest

from codelab.cli import doctor


def table() -> dict[str, tuple[bool, str]]:
    return {name: (good, remark) for name, good, remark in doctor.rows()}


def test_what_runs_this_test_is_found() -> None:
    found = table()
    assert found["python"][0]
    assert found["disk"][1].endswith("GB free here")
    assert set(found) == {
        "python",
        "extra book",
        "extra train",
        "extra gpu",
        "gpu",
        "quarto",
        "mbpp",
        "recipes",
        "disk",
    }


def test_a_missing_extra_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "vllm" else object())
    good, remark = table()["extra gpu"]
    assert not good
    assert remark == "missing: vllm; run: make setup-gpu"


def test_mbpp_is_looked_for_where_the_loader_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from codelab.tasks import mbpp

    monkeypatch.setattr(mbpp, "find", lambda: None)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert table()["mbpp"] == (False, "set CODELAB_MBPP to mbpp.jsonl")
    monkeypatch.setattr(mbpp, "find", lambda: tmp_path)
    assert table()["mbpp"] == (True, str(tmp_path))


def test_recipes_are_counted_by_what_they_need(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert table()["recipes"] == (False, "none below this folder; run this in the repository")
    (tmp_path / "recipes").mkdir()
    for name, needs in {"any": "{minutes: 1}", "big": "{device: gpu, gpu_memory_gb: 40, minutes: 1}",
                        "extra": "{minutes: 1, extras: [gpu]}"}.items():  # fmt: skip
        (tmp_path / "recipes" / f"{name}.yaml").write_text(f"kind: x\nhardware: {needs}\n")
    monkeypatch.setattr(doctor, "_there", lambda name: name != "vllm")
    monkeypatch.setattr("codelab.measure.device.facts", lambda: None)
    assert table()["recipes"] == (True, "1 of 3 can run here: any")
    card = SimpleNamespace(memory_bytes=48e9, count=1, name="A card", driver="1")
    monkeypatch.setattr("codelab.measure.device.facts", lambda: card)
    assert table()["recipes"] == (True, "2 of 3 can run here: any, big")


def test_without_quarto_the_book_is_still_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    good, remark = table()["quarto"]
    assert not good
    assert "Pandoc and Typst write the book" in remark
    assert "without Word" not in remark, "the second renderer writes Word too"
