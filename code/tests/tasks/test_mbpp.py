"""MBPP: the published data as it is, and malformed rows named by line and field."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from codelab.errors import UserError
from codelab.tasks import mbpp

ROW: dict[str, Any] = {
    "task_id": 5,
    "text": " Double a number. ",
    "code": "def double(n):\r\n    return 2 * n\r\n",
    "test_setup_code": "",
    "test_list": ["assert double(2) == 4", "assert double(0) == 0"],
    "challenge_test_list": [],
}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "mbpp.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def published() -> list[mbpp.Task]:
    beside = Path(__file__).resolve().parents[4] / "shared" / "data" / "mbpp.jsonl"
    path = Path(os.environ["CODELAB_MBPP"]) if "CODELAB_MBPP" in os.environ else beside
    if "CODELAB_MBPP" not in os.environ and not path.is_file():
        pytest.skip("mbpp.jsonl is neither in CODELAB_MBPP nor in ../shared/data")
    return mbpp.load(path)


def test_the_published_data(published: list[mbpp.Task]) -> None:
    assert [task.task_id for task in published] == list(range(1, 975))
    assert {name: len(mbpp.select(published, name)) for name in mbpp.SPLITS} == {
        "prompting": 10,
        "test": 500,
        "validation": 90,
        "train": 374,
    }
    assert len(mbpp.select(published, "all", sanitized=True)) == len(mbpp.SANITIZED) == 427
    assert all(task.entry_point and task.entry_point in task.needed_names for task in published)
    assert sum(bool(task.setup) for task in published) == 2


def test_the_twins_of_test_tasks_have_the_same_text(published: list[mbpp.Task]) -> None:
    text = {task.task_id: task.text for task in published}
    assert [text[216], text[217], text[248]] == [text[872], text[602], text[704]]
    assert {872, 602, 704} == mbpp.TWINS_OF_TEST
    seen = {task.text for task in mbpp.select(published, "test")}
    again = {t.task_id for t in published if t.split != "test" and t.text in seen}
    assert again == mbpp.TWINS_OF_TEST


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, ROW)
    (task,) = mbpp.load(path, verify=False)
    assert (task.text, task.code) == ("Double a number.", "def double(n):\n    return 2 * n\n")
    assert (task.entry_point, task.split) == ("double", "prompting")
    facts = mbpp.facts(tmp_path / "mbpp.jsonl")
    assert (facts.source, facts.sha256) == ("file:mbpp.jsonl", hashlib.sha256(path.read_bytes()).hexdigest())


def test_another_sha256_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="SHA-256"):
        mbpp.load(write(tmp_path, ROW))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": None}, "line 2: text: expected str, got NoneType"),
        ({"text": "  "}, "line 2: text: empty"),
        ({"task_id": "7"}, "line 2: task_id: expected int, got str"),
        ({"task_id": True}, "line 2: task_id: expected int, got bool"),
        ({"task_id": 5}, "line 2: task_id: 5 stands twice"),
        ({"test_list": []}, "line 2: test_list: empty"),
        ({"test_list": ["assert f("]}, r"line 2: test_list\[0\]: not valid Python"),
        ({"challenge_test_list": [3]}, r"line 2: challenge_test_list\[0\]: expected str, got int"),
        ({"code": "def"}, "line 2: code: not valid Python"),
        ({"test_setup_code": "x ="}, "line 2: test_setup_code: not valid Python"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        mbpp.load(write(tmp_path, ROW, {**ROW, "task_id": 6, **change}), verify=False)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{"], "line 1: not JSON"),
        (["[]"], "line 1: expected an object, got list"),
        ([], "no rows"),
        ([{key: ROW[key] for key in ROW if key != "code"}], "line 1: code: missing"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        mbpp.load(write(tmp_path, *rows), verify=False)


def test_where_the_data_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODELAB_MBPP", raising=False)
    monkeypatch.setenv("CODELAB_CACHE", str(tmp_path))
    assert mbpp.find() is None
    path = write(tmp_path, ROW)
    assert mbpp.find() == path
    monkeypatch.setenv("CODELAB_MBPP", "elsewhere.jsonl")
    assert mbpp.find() == Path("elsewhere.jsonl")
    with pytest.raises(UserError, match=r"elsewhere\.jsonl: cannot be read"):
        mbpp.load()


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(UserError, match="split 'dev': expected all, prompting"):
        mbpp.select([], "dev")


def test_a_function_that_hides_a_builtin_is_the_entry_point() -> None:
    task = mbpp.Task(1, "Add.", "def sum(a, b):\n    return a + b\n", "", ("assert sum(1, 2) == 3",))
    assert task.entry_point == "sum"
