"""Rows are on disk when they are added, in the layout that runs have always had, and whole after a kill."""

from pathlib import Path

import pytest

from codelab.records import RowLog
from codelab.records.rows import RowKind


@pytest.fixture
def log(tmp_path: Path) -> RowLog:
    return RowLog(tmp_path)


def test_the_layout_is_one_json_line_a_row_in_a_file_a_kind(log: RowLog, tmp_path: Path) -> None:
    log.step(step=1, loss=0.5)
    log.sample(text="é\n", passed=False)
    assert (tmp_path / "steps.jsonl").read_bytes() == b'{"step": 1, "loss": 0.5}\n'
    assert (tmp_path / "samples.jsonl").read_text() == '{"text": "é\\n", "passed": false}\n'
    again = RowLog(tmp_path)
    assert again.steps_so_far() == [{"step": 1, "loss": 0.5}]
    assert again.samples_so_far() == [{"text": "é\n", "passed": False}]


def test_an_empty_log_has_no_rows_and_makes_no_file(log: RowLog, tmp_path: Path) -> None:
    assert (log.steps_so_far(), log.samples_so_far()) == ([], [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["steps", "samples"])
@pytest.mark.parametrize(
    ("before", "left"), [('{"i": 0}\n{"i": 1, "te', [0]), ('{"i', []), ("", []), ('{"i": 0}\n', [0])]
)
def test_a_line_cut_short_is_dropped_before_the_next_one(
    tmp_path: Path, kind: RowKind, before: str, left: list[int]
) -> None:
    (tmp_path / f"{kind}.jsonl").write_text(before)
    log = RowLog(tmp_path)
    add, read = (log.step, log.steps_so_far) if kind == "steps" else (log.sample, log.samples_so_far)
    add(i=7)
    assert [row["i"] for row in read()] == [*left, 7]


@pytest.mark.parametrize(("keep", "left"), [(0, []), (2, [0, 1]), (9, [0, 1, 2])])
def test_truncate_keeps_the_first_rows_of_its_own_kind(log: RowLog, keep: int, left: list[int]) -> None:
    for i in range(3):
        log.step(i=i)
        log.sample(i=i)
    log.truncate("steps", keep)
    assert [row["i"] for row in log.steps_so_far()] == left
    assert len(log.samples_so_far()) == 3
