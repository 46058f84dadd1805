"""Chapter 10's shares keep the record's numbers."""

from pathlib import Path

import pytest

from codelab.book.facts import Facts
from codelab.book.worked import ch10_signal
from codelab.records import Environment, Record
from codelab.records.schema import CodeFacts, RecipeFacts


@pytest.fixture
def signal() -> Facts:
    rows = [
        {"source": source, "reward": reward, "group": size, "flat": 0.5 / size, "flat_low": 0.1, "flat_high": 0.9}
        for source in ("mine", "other") for reward in ("graded", "pass-only") for size in (4, 8)
    ]  # fmt: skip
    return Facts(Path("nowhere"), Record(
        run="1", title="t", state="ok", command=[], started="2026-11-22", finished="", seconds=90, seeds=[0],
        code=CodeFacts(sha256="0"), recipe=RecipeFacts(name="r", kind="k", sha256="0", values={}),
        environment=Environment(python="3", platform="p", cpu="c", cores=32, memory_bytes=1, packages={}),
        tables={"groups": rows},
    ))  # fmt: skip


def test_curves_are_named_and_in_per_cent(signal: Facts) -> None:
    frame = ch10_signal.flat(signal, {"mine": "GPT-2", "other": ""})
    assert list(dict.fromkeys(frame["curve"])) == ["GPT-2, pass or fail", "pass or fail", "GPT-2, graded", "graded"]
    assert list(frame.iloc[1])[1:] == [8, pytest.approx(6.25), 10.0, 90.0]
