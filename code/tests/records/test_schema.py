"""Facts about data name files, never the places where they lay."""

import ast
import hashlib
from pathlib import Path

import pytest

from codelab.errors import UserError
from codelab.records import DataFacts

PACKAGE = Path(__file__).resolve().parents[2] / "codelab"


@pytest.mark.parametrize(("folders", "source"), [(0, "file:meta.json"), (1, "file:tokens/meta.json")])
def test_a_local_file_is_its_name_and_hash(tmp_path: Path, folders: int, source: str) -> None:
    path = tmp_path / "tokens" / "meta.json"
    path.parent.mkdir()
    path.write_bytes(b"{}")
    facts = DataFacts.of_file("corpus", path, 3, folders=folders)
    assert facts == DataFacts(name="corpus", source=source, sha256=hashlib.sha256(b"{}").hexdigest(), rows=3)


def test_a_relative_path_names_its_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meta.json").write_bytes(b"{}")
    monkeypatch.chdir(tmp_path)
    assert DataFacts.of_file("corpus", Path("meta.json"), folders=1).source == f"file:{tmp_path.name}/meta.json"


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mbpp .*gone\.jsonl: cannot be read"):
        DataFacts.of_file("mbpp", tmp_path / "gone.jsonl")


def test_no_experiment_writes_a_source_that_it_computed() -> None:
    """A source is a plain text, or ``hub:`` and a constant; everything else goes through ``of_file``."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DataFacts":
                source = next(word.value for word in node.keywords if word.arg == "source")
                parts = source.values if isinstance(source, ast.JoinedStr) else [source]
                plain = isinstance(parts[0], ast.Constant)
                plain &= all(isinstance(part, ast.Constant) or _constant(part) for part in parts)
                found.append((f"{path.relative_to(PACKAGE)}:{node.lineno}", plain))
    assert len(found) >= 4
    assert not [where for where, plain in found if not plain]


def _constant(part: ast.expr) -> bool:
    return isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) and part.value.id.isupper()
