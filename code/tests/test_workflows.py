"""What runs on the forge names only targets, files and jobs that exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def commands(workflow: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_targets_files_and_jobs_exist(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    run = commands(workflow)
    asked = {word for line in re.findall(r"\bmake ([a-z -]+)", run) for word in line.split()}
    assert asked <= targets(), asked - targets()
    for file in re.findall(r"\bcode/[\w/]+\.py", run):
        assert (ROOT / file).is_file(), file
    for job in workflow["jobs"].values():
        needed = job.get("needs", [])
        assert set([needed] if isinstance(needed, str) else needed) <= set(workflow["jobs"])


def test_what_must_run_runs() -> None:
    ci, weekly = (yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text()) for name in ("ci", "reexecute"))
    for words in (
        "make lint types test",
        "make book-pandoc check",
        "make book-quarto",
        "make submission",
        "browser.py",
    ):
        assert words in commands(ci)
    assert "rm -rf _freeze" in commands(weekly)
    assert "git diff --exit-code --stat -- _freeze" in commands(weekly), "what changed is seen"
    assert weekly[True]["schedule"], "YAML reads `on` as true"
    assert ci["jobs"]["publish"]["permissions"]["pages"] == "write"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run", "chapters/11-reproduce.qmd"])
def test_documents_name_targets_that_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    asked = set(re.findall(r"(?:`|^|\n|; )make ([a-z][a-z-]+)", text))
    assert asked <= targets(), asked - targets()


def test_the_makefile_lists_every_target_as_phony() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.*?)\n\n", text.replace("\\\n", ""), re.MULTILINE | re.DOTALL)[1].split())  # type: ignore[index]
    assert targets() <= phony
