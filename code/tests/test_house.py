"""The house rules: imports point one way, files stay short, every module says what it is for, locks fit the project."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "code" / "codelab"
ORDER = ["records", "measure", "tasks", "models", "sandbox", "evaluate", "train", "cli"]
BOOK_READS = {"book", "records", "measure"}
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [*MODULES, *sorted((ROOT / "code" / "tests").rglob("*.py")), *sorted((ROOT / "code" / "bench").rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """Top-level packages of codelab that a module imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "codelab" and len(parts) > 1:
                yield parts[1]


def room(path: Path) -> str:
    """The package of codelab that a module belongs to; empty for the ones at the top."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    here = room(path)
    targets = {name for name in imported(path) if name in {*ORDER, "book"}}
    if here == "book":
        assert targets <= BOOK_READS
    elif here == "cli":
        pass
    elif here:
        allowed = set(ORDER[: ORDER.index(here) + 1])
        assert targets <= allowed
    elif path.name != "__main__.py":
        assert not targets


def test_measure_reaches_the_book_by_its_torch_free_part_alone() -> None:
    for path in (PACKAGE / "book").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("codelab.measure"):
                assert node.module == "codelab.measure.estimate", path


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "code")))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_every_function_is_typed() -> None:
    total = typed = 0
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                total += 1
                plain = [a for a in node.args.args + node.args.kwonlyargs if a.arg not in {"self", "cls"}]
                typed += node.returns is not None and all(a.annotation for a in plain)
    assert total > 100
    assert typed / total >= 0.9


def locked(name: str) -> dict[str, list[str]]:
    """Versions by package in one lock."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    versions: dict[str, list[str]] = {}
    for match in re.finditer(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", text, re.M):
        versions.setdefault(match[1], []).append(match[2])
    return versions


@pytest.mark.parametrize("extra", ["book", "train", "gpu", "dev", "bench"])
def test_the_lock_fits_the_project(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = locked(extra)
    for text in [*project["dependencies"], *project["optional-dependencies"][extra]]:
        wanted = Requirement(text)
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in {"torch", "codelab"} or (wanted.marker and not wanted.marker.evaluate(dict(default_environment()))):
            continue
        assert name in versions, f"{extra}: {name} is not locked"
        for version in versions[name]:
            assert wanted.specifier.contains(version, prereleases=True), f"{extra}: {name} {version}"


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").iterdir()), ids=lambda path: path.name)
def test_no_lock_names_an_address(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert "index-url" not in re.sub(r"--no-emit-index-url", "", text)


@pytest.mark.parametrize("extra", ["book", "train", "gpu", "dev", "bench"])
def test_every_locked_version_has_a_hash_and_torch_is_not_there(extra: str) -> None:
    text = (ROOT / "requirements" / f"{extra}.txt").read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert len(entries) > 10
    for entry in entries:
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert not {"torch", "triton"} & set(locked(extra))
