"""torch's stamp knows its version: the GPU set replaces another torch, everything else keeps the one that is there."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Stands in for the environment's Python: `-c` tells torch's version, `-m pip install …` notes what was installed.
FAKE = """#!/bin/sh
here=$(dirname "$0")
if [ "$1" = -c ]; then cat "$here/torch" 2>/dev/null; exit; fi
echo "$*" >> "$here/log"
for word; do case $word in torch==*) echo "${word#torch==}" > "$here/torch";; esac; done
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


class Machine:
    """A folder with the Makefile, the names of the locks, and an environment whose Python only takes notes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, folder / ".venv" / "bin"
        shutil.copy(ROOT / "Makefile", folder)
        (folder / "pyproject.toml").touch()
        (folder / "requirements").mkdir()
        for name in ("book", "train", "dev", "gpu"):
            (folder / "requirements" / f"{name}.txt").touch()
        self.bin.mkdir(parents=True)
        (self.bin / "python").write_text(FAKE)
        (self.bin / "python").chmod(0o755)

    def make(self, *words: str) -> "subprocess.CompletedProcess[str]":
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "TORCH"))}
        return subprocess.run(
            ["make", *words], cwd=self.folder, env=clean, capture_output=True, text=True, check=False, timeout=60
        )

    def installed(self) -> list[str]:
        """What pip was asked for since the last look: torch with its version, or the name of a lock."""
        log = self.bin / "log"
        words = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return [word for word in words if word.startswith(("torch==", "requirements/"))]

    @property
    def stamps(self) -> list[str]:
        return sorted(path.name for path in (self.folder / ".venv").glob(".torch*"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_gpu_set_replaces_the_torch_of_an_earlier_setup_and_nothing_takes_it_back(machine: Machine) -> None:
    assert machine.make("setup-train").returncode == 0
    assert machine.installed() == ["torch==2.13.0", "requirements/book.txt", "requirements/train.txt"]
    assert machine.stamps == [".torch-2.13.0"]
    assert machine.make("setup-gpu").returncode == 0
    assert machine.installed() == ["torch==2.11.0", "requirements/train.txt", "requirements/gpu.txt"]
    assert machine.stamps == [".torch-2.11.0"]
    assert machine.make("setup-train").returncode == 0
    assert machine.installed() == []
    assert machine.make("setup-gpu").returncode == 0
    assert machine.installed() == ["requirements/gpu.txt"]


def test_a_torch_that_is_there_is_kept_under_its_own_version(machine: Machine) -> None:
    (machine.bin / "torch").write_text("2.12.1\n")
    (machine.folder / ".venv" / ".torch").touch()  # the stamp of an older Makefile, which knew no version
    assert machine.make("setup-train").returncode == 0
    assert machine.installed() == ["requirements/book.txt", "requirements/train.txt"]
    assert machine.stamps == [".torch-2.12.1"]


def test_a_version_asked_for_by_name_is_installed(machine: Machine) -> None:
    assert machine.make("setup-train").returncode == 0
    machine.installed()
    assert machine.make("setup-train", "TORCH=torch==2.12.0").returncode == 0
    assert machine.installed() == ["torch==2.12.0", "requirements/train.txt"]
    assert machine.stamps == [".torch-2.12.0"]


def test_another_torch_than_the_gpu_set_wants_is_one_line_and_leaves_no_stamp(machine: Machine) -> None:
    done = machine.make("setup-gpu", "TORCH_INSTALL=.venv/bin/python -m pip install torch==2.13.0")
    assert done.returncode == 2
    assert "torch: 2.13.0 is installed, 2.11.0 is wanted" in done.stderr
    assert machine.stamps == []


def test_a_dry_run_says_which_torch_would_be_installed(machine: Machine) -> None:
    assert "install --quiet torch==2.13.0" in machine.make("-n", "setup-dev").stdout
    assert "install --quiet torch==2.11.0" in machine.make("-n", "setup-gpu").stdout
    assert "torch==" not in machine.make("-n", "setup-book").stdout


def test_the_gpu_set_s_torch_is_the_one_that_its_vllm_is_built_for() -> None:
    text = (ROOT / "Makefile").read_text()
    lock = (ROOT / "requirements" / "gpu.txt").read_text()
    assert "vllm==0.26.0" in lock, "look up which torch this vLLM wants, and change both lines"
    assert "torch==2.11.0" in text
