"""Chapter 10's shares keep the record's numbers."""

from pathlib import Path
from typing import Any

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import ch10_signal
from codelab.records import Environment, Metric, Record
from codelab.records.schema import CodeFacts, RecipeFacts


def facts(values: dict[str, Any], **more: Any) -> Facts:
    record: dict[str, Any] = {
        "run": "1", "title": "t", "state": "ok", "command": [], "started": "2026-11-22", "finished": "", "seconds": 90,
        "seeds": [0], "code": CodeFacts(sha256="0"),
        "recipe": RecipeFacts(name="r", kind="k", sha256="0", values=values),
        "environment": Environment(python="3", platform="p", cpu="c", cores=32, memory_bytes=1, packages={}),
    }  # fmt: skip
    return Facts(Path("nowhere"), Record(**(record | more)))


@pytest.fixture
def signal() -> Facts:
    sources = {"mine": {"setting": "t0.8"}, "other": {"setting": "t0.6"}}
    rows = [
        {"source": source, "reward": reward, "group": size, "flat": 0.5 / size, "flat_low": 0.1, "flat_high": 0.9}
        for source in sources for reward in ("graded", "pass-only") for size in (4, 8)
    ]  # fmt: skip
    shares = {"graded.g8.flat": 0.1, "graded.g8.form": 0.4, "graded.g8.solving": 0.25,
              "graded.g8.advantage.solving": 0.2, "pass-only.g8.flat": 0.75}  # fmt: skip
    metrics = {f"mine.{name}": Metric(value=value) for name, value in shares.items()}
    return facts({"sources": sources}, tables={"groups": rows}, metrics=metrics | {"mine.pass@1": Metric(value=0.03)})


def test_curves_are_named_and_in_per_cent(signal: Facts) -> None:
    frame = ch10_signal.flat(signal, {"mine": "GPT-2", "other": ""})
    assert list(dict.fromkeys(frame["curve"])) == ["GPT-2, pass or fail", "pass or fail", "GPT-2, graded", "graded"]
    assert list(frame.iloc[1])[1:] == [8, pytest.approx(6.25), 10.0, 90.0]


def test_a_row_for_each_size_that_a_source_has(signal: Facts) -> None:
    (row,) = ch10_signal.overview(signal, {"mine": "GPT-2", "other": "none"}, [8, 32], completions=64)
    assert row == {
        "source": "GPT-2", "temperature": "0.8", "pass@1": 0.03, "group": 8, "flat_pass": 0.75, "flat_graded": 0.1,
        "form": 0.4, "solving": 0.25, "solving_groups": 2.0, "advantage": 0.2,
    }  # fmt: skip
