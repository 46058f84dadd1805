"""The command line: one line and status 2 for what a user can mend, help everywhere."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def codelab(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "codelab", *arguments], cwd=cwd, capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "code"), "HOME": str(cwd), "NO_COLOR": "1"},
    )  # fmt: skip


def test_help_names_every_verb() -> None:
    done = codelab("--help")
    assert done.returncode == 0
    for verb in ("run", "check", "runs", "compare", "corpus", "book", "figures"):
        assert verb in done.stdout


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: nonsense\n", ["kind", "expected one of", "nonsense"]),
        ("kind: quantize\ntitle: x\n", ["hardware"]),
        ("kind: quantize\ntitle: x\nhardware: {minutes: 1}\ncolour: red\n", ["colour", "unknown key"]),
    ],
)
def test_a_wrong_recipe_is_one_line_and_status_2(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    done = codelab("run", str(path), "--results", str(tmp_path / "results"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    for word in ["wrong.yaml", *words]:
        assert word in done.stderr
    assert not (tmp_path / "results").exists()
