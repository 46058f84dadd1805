"""The build on a package made on the spot: restart, division without leaks, probes, tokens, refusals."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from codelab.errors import UserError
from codelab.records import sha256_file
from codelab.tasks.corpus.files import read_rows
from codelab.tasks.general import build, deb, probes, prose, sources, tokens
from codelab.tasks.general.sources import Source

WORDS = [
    "window", "button", "panel", "garden", "letter", "winter", "river", "summer", "bridge", "candle", "market",
    "sailor", "copper", "forest",
]  # fmt: skip


def _sentences(seed: int, count: int = 14) -> str:
    """Sentences that end in a word that stood before, no two texts alike."""
    made = []
    for i in range(count):
        a, b, c = (WORDS[(seed * k + i * j) % len(WORDS)] for k, j in ((1, 1), (3, 5), (7, 3)))
        number = ["one", "two", "three", "four", "five", "six", "seven"][(seed + i) % 7]
        made.append(f"It was the {a} of the {b} that {number} of them had seen, and there was also the {c} by the {a}.")
    return " ".join(made)


def _deb(folder: Path, name: str, files: dict[str, str], *, packed: bool = False) -> Source:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w" if packed else "w:xz") as archive:
        for inside, text in files.items():
            info = tarfile.TarInfo(f"./{inside}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    data = zstandard.compress(stream.getvalue()) if packed else stream.getvalue()
    content = b"!<arch>\n"
    for member, body in (("debian-binary", b"2.0\n"), ("data.tar.zst" if packed else "data.tar.xz", data)):
        header = f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode()
        content += header + body + b"\n" * (len(body) % 2)
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}_1.0.deb"
    path.write_bytes(content)
    return Source(name, "1.0", sha256_file(path), "MIT", "html", "*.html", "shared")


def _page(*paragraphs: str) -> str:
    return "<body>" + "".join(f"<p>{one}</p>" for one in paragraphs) + "</body>"


@pytest.fixture
def listed(tmp_path: Path) -> list[Source]:
    packages = tmp_path / "packages"
    shared = _deb(packages, "shared", {f"doc/{i}.html": _page(_sentences(i), _sentences(i + 100)) for i in range(60)})
    again = {"doc/a.html": _page(_sentences(200), _sentences(5)), "doc/b.html": _page(_sentences(300)), "no.txt": "x"}
    whole = Source(**{**vars(_deb(packages, "whole", again, packed=True)), "part": "held_out"})
    capitals = "".join(f"<division><name>Land{i}</name><capital>Town{i}</capital></division>" for i in range(12))
    world = _deb(packages, "world", {"map.kgm": capitals})
    return [shared, whole, Source(**{**vars(world), "format": "capitals", "files": "*.kgm"})]


def test_build_divides_without_a_leak_and_continues(listed: list[Source], tmp_path: Path) -> None:
    said: list[str] = []
    card = build.build(listed, tmp_path / "packages", tmp_path / "out", report=said.append)
    train, heldout = (list(read_rows(tmp_path / "out" / f"{name}.jsonl.zst")) for name in ("train", "heldout"))
    assert {row["source"] for row in train} == {"shared"}
    assert {row["source"] for row in heldout} >= {"whole"}
    theirs = {one for row in heldout for one in prose.windows(row["text"]).tolist()}
    assert theirs
    assert not any(theirs & set(prose.windows(part).tolist()) for row in train for part in row["text"].split("\n\n"))
    # The paragraph that both packages hold stands in the held-out one alone.
    assert not any(_sentences(5) in row["text"] for row in train)
    assert any(_sentences(5) in row["text"] for row in heldout)
    assert card["removed"]["repeated_paragraphs"] >= 1
    assert card["probes"]["capital"] == 12
    for output in card["outputs"]:
        assert sha256_file(tmp_path / "out" / output["name"]) == output["sha256"]

    shutil.rmtree(tmp_path / "packages")  # what was read is not read again
    assert build.build(listed, tmp_path / "packages", tmp_path / "out", report=said.append) == card


def test_a_package_that_is_another_file_is_refused_or_left_out(listed: list[Source], tmp_path: Path) -> None:
    path = tmp_path / "packages" / "shared_1.0.deb"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(UserError, match="SHA-256"):
        build.build(listed, tmp_path / "packages", tmp_path / "out", report=lambda _: None)
    with pytest.raises(UserError, match="no training"):
        build.build(listed, tmp_path / "packages", tmp_path / "out", skip_missing=True, report=lambda _: None)
    broken = tmp_path / "broken.deb"
    broken.write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a readable Debian package"):
        list(deb.files(broken, "*"))


def test_probes_have_their_answer_among_four_different_options(listed: list[Source], tmp_path: Path) -> None:
    build.build(listed, tmp_path / "packages", tmp_path / "out", report=lambda _: None)
    rows = [json.loads(line) for line in (tmp_path / "out" / "probes.jsonl").read_text().splitlines()]
    kinds = {row["kind"] for row in rows}
    assert kinds == {"cloze", "capital", "sum"}
    for row in rows:
        assert len(set(row["options"])) == probes.OPTIONS
        right = row["options"][row["answer"]]
        if row["kind"] == "sum":
            a, b = row["id"].removeprefix("sum:").split("+")
            assert int(right) == int(a) + int(b)
        if row["kind"] == "capital":
            assert right == " Town" + row["id"].removeprefix("capital:Land")
            assert right.strip() not in row["shots"]
        if row["kind"] == "cloze":
            assert all(option.strip() in row["prompt"] for option in row["options"])
    answers = [row["answer"] for row in rows]
    assert all(0.1 < answers.count(place) / len(answers) < 0.45 for place in range(4))


def test_tokens_of_a_part_of_the_text(listed: list[Source], tmp_path: Path, tiny_bpe: Path) -> None:
    from codelab.train.tokens import open_tokens

    text, out = tmp_path / "out", tmp_path / "tokens"
    build.build(listed, tmp_path / "packages", text, report=lambda _: None)
    limits: dict[str, Any] = {"train_bytes": 2_000, "heldout_bytes": 10**9, "report": lambda _: None}
    meta = tokens.tokenize(text, tiny_bpe, out, **limits)
    opened = open_tokens(out)
    assert 2_000 <= opened.train.text_bytes < 6_000
    assert opened.heldout.text_bytes == sum(len(row["text"].encode()) for row in read_rows(text / "heldout.jsonl.zst"))
    assert (out / "probes.jsonl").read_bytes() == (text / "probes.jsonl").read_bytes()
    written = (out / "train-0.bin").stat().st_mtime_ns
    assert tokens.tokenize(text, tiny_bpe, out, **limits) == meta
    assert (out / "train-0.bin").stat().st_mtime_ns == written
    with pytest.raises(UserError, match=r"no card\.json"):
        tokens.tokenize(tmp_path, tiny_bpe, out, **limits)


@pytest.fixture
def tiny_bpe(tmp_path: Path) -> Path:
    from codelab.tasks import tokenizer

    tokenizer.save(tokenizer.train([_sentences(i) for i in range(30)], 320), tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def test_the_shipped_list_is_valid() -> None:
    path = Path(__file__).resolve().parents[4] / "recipes" / "general-sources.tsv"
    rows = sources.load_sources(path)
    assert {row.part for row in rows} == set(sources.PARTS)
    assert all(row.licence and row.version for row in rows)


@pytest.mark.parametrize(
    ("change", "match"),
    [({"format": "docx"}, "format"), ({"part": "all"}, "part"), ({"sha256": "ab"}, "64 hexadecimal")],
)
def test_a_wrong_list_is_refused(tmp_path: Path, change: dict[str, str], match: str) -> None:
    row = {"package": "p", "version": "1", "sha256": "0" * 64, "licence": "MIT", "format": "html", "files": "*",
           "part": "shared"} | change  # fmt: skip
    path = tmp_path / "list.tsv"
    path.write_text("\t".join(row) + "\n" + "\t".join(row.values()) + "\n")
    with pytest.raises(UserError, match=match):
        sources.load_sources(path)


def test_the_record_holds_the_card_and_a_changed_text_is_refused(listed: list[Source], tmp_path: Path) -> None:
    from codelab.records import open_run
    from codelab.tasks.general import experiment

    text = tmp_path / "out"
    card = build.build(listed, tmp_path / "packages", text, report=lambda _: None)
    recipe = experiment.RECIPE.model_validate(
        {"kind": "general-text", "title": "t", "hardware": {"minutes": 1}, "text": str(text)}
    )
    opened = open_run(recipe, "general", tmp_path / "results", ["codelab"])
    experiment.run(recipe, opened)
    state = opened._state
    assert state["metrics"]["heldout.bytes"]["value"] == card["outputs"][1]["text_bytes"]
    assert [row["package"] for row in state["tables"]["sources"]] == ["shared", "whole", "world"]
    (text / "probes.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match="SHA-256"):
        experiment.run(recipe, opened)
