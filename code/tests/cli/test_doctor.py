"""The doctor says what is there and what to do about what is not."""

import importlib.util
from pathlib import Path

import pytest

from codelab.cli import doctor


def table() -> dict[str, tuple[bool, str]]:
    return {name: (good, remark) for name, good, remark in doctor.rows()}


def test_what_runs_this_test_is_found() -> None:
    found = table()
    assert found["python"][0]
    assert found["disk"][1].endswith("GB free here")
    assert set(found) == {"python", "extra book", "extra train", "extra gpu", "gpu", "quarto", "mbpp", "disk"}


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
