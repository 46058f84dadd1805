"""A small task of our own, and the data where it is."""

import os
from pathlib import Path

import pytest

from codelab.sandbox.plan import plan
from codelab.tasks.mbpp import Task, load


@pytest.fixture(autouse=True)
def _split_anew() -> None:
    """Plans are kept for speed; a test sees the splitter at work, not what an earlier test left."""
    plan.cache_clear()


@pytest.fixture(scope="session")
def square() -> Task:
    """The task that every hostile program answers."""
    return Task(
        task_id=1,
        text="Square a number.",
        code="def f(x):\n    return x * x\n",
        tests=("assert f(2) == 4", "assert f(3) == 9", "assert f(4) == 16"),
    )


@pytest.fixture(scope="session")
def mbpp() -> list[Task]:
    """All 974 tasks; the test is skipped only where the data is nowhere."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data" / "mbpp.jsonl"
    path = Path(os.environ["CODELAB_MBPP"]) if "CODELAB_MBPP" in os.environ else beside
    if "CODELAB_MBPP" not in os.environ and not path.is_file():
        pytest.skip("mbpp.jsonl is neither in CODELAB_MBPP nor in ../shared/data")
    return load(path)
