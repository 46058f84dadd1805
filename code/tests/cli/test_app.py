"""The command line: one line and status 2 for what a user can mend, help everywhere."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from codelab import __version__
from codelab.cli import verbs  # noqa: F401 - registers the verbs
from codelab.cli.app import app

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


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every verb of the application, with the words that call it."""
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(("words", "command"), list(commands()))
def test_the_help_of_every_verb_is_whole(words: tuple[str, ...], command: Any) -> None:
    text = " ".join((command.help or "").split())
    assert len(text.split(".")[0].split()) >= 4, "says what it does"
    example = text.partition("Example: ")[2]
    assert " ".join(words) in example, f"an example of codelab {' '.join(words)}"
    for file in re.findall(r"recipes/[\w.-]+", example):
        assert (ROOT / file).is_file(), f"the example names {file}"
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"codelab {' '.join(words)}: {parameter.name} has no help"


@pytest.mark.parametrize("group", [(), ("book",), ("corpus",)])
def test_the_help_of_every_group_has_an_example_of_a_verb_that_exists(group: tuple[str, ...]) -> None:
    examples = re.findall(r"codelab ((?:[a-z-]+ ?)+)", codelab(*group, "--help").stdout.partition("Example")[2])
    known = {words for words, _ in commands()}
    assert examples
    for example in examples:
        assert any(tuple(example.split()[: len(words)]) == words for words in known), example


def test_exit_statuses_are_in_the_help() -> None:
    text = " ".join(codelab("--help").stdout.split())
    for status in ("0 done", "1 failed", "2 yours to mend", "75 paused", "130 interrupted"):
        assert status in text


def test_status_2_for_a_wrong_verb_and_a_missing_argument(tmp_path: Path) -> None:
    assert codelab("nonsense").returncode == 2
    assert codelab("run").returncode == 2
    done = codelab("compare", "results/none", "results/none", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert codelab("--version").stdout == f"codelab {__version__}\n"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("codelab run recipes/q7-quantize-smollm2-", ["recipes/q7-quantize-smollm2-cpu.yaml"]),
        ("codelab runs q7-quantize-smollm2-", ["q7-quantize-smollm2-cpu"]),
        ("codelab compare results/corpus-python/20261122T2", ["results/corpus-python/20261122T225546Z-cpu"]),
        ("codelab figures q5-", ["q5-toy"]),
        ("codelab bo", ["book"]),
    ],
)  # fmt: skip
def test_the_shell_completes(line: str, offered: list[str]) -> None:
    words = line.split()
    asked = {"_CODELAB_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", "from codelab.cli import main; main()"], cwd=ROOT, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "code"), "HOME": str(ROOT), **asked}, check=False,
    )  # fmt: skip
    assert done.stdout.split() == offered, done.stderr


def test_no_colour_where_none_is_wanted() -> None:
    if shutil.which("script") is None:
        pytest.skip("needs script to make a terminal")
    command = f"{sys.executable} -m codelab runs"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "code"), "TERM": "xterm-256color", "NO_COLOR": "1"}
    done = subprocess.run(
        ["script", "-qc", command, "/dev/null"], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert "q7-quantize-smollm2-cpu" in done.stdout
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9|10)[0-7]", done.stdout), "a colour"


def test_nothing_is_cut_where_output_is_read_by_programs() -> None:
    heading, *lines = codelab("runs").stdout.splitlines()
    assert heading.split() == ["recipe", "run", "state", "device", "time", "commit", "metrics"]
    row = next(line for line in lines if "20261122T222508Z-h100" in line)
    assert re.fullmatch(r" q7-quantize-smollm2 +\S+ +ok +NVIDIA H100 80GB HBM3 +[\d.]+\smin +[0-9a-f]{10} +\d+ *", row)
    assert len(lines) == len(list((ROOT / "results").glob("*/[!.]*/record.json")))


def test_a_narrow_terminal_shows_every_column_below_the_recipe() -> None:
    if shutil.which("script") is None:
        pytest.skip("needs script to make a terminal")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "code"), "TERM": "dumb", "NO_COLOR": "1"}
    command = f"stty cols 80; {sys.executable} -m codelab runs q7-quantize-smollm2"
    done = subprocess.run(
        ["script", "-qc", command, "/dev/null"], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    lines = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines()
    assert lines[0] == "q7-quantize-smollm2"
    assert lines[1].split() == ["run", "state", "device", "time", "commit", "metrics"]
    assert lines[2].split()[:3] == ["20261122T222508Z-h100", "ok", "NVIDIA"]
    assert max(map(len, lines)) <= 80


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
