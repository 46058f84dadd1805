"""The trained tokenizer, its files, and the token folder made with it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codelab.errors import UserError
from codelab.records import sha256_file
from codelab.tasks import tokenizer as bpe
from codelab.tasks.corpus import tokenise
from codelab.tasks.corpus.compare import compare
from codelab.tasks.corpus.files import write_json, write_rows
from codelab.train.tokens import open_tokens

TEXTS = [
    f"def function_{number}(value):\n    if value > {number}:\n        return value * {number * 7}\n    return None\n"
    for number in range(400)
]
ODD = "def f():\n\treturn 'ä – 日本 🙂'  # <|endoftext|>\n\n\n        x = 1\r\n"


@pytest.fixture(scope="module")
def trained() -> Any:
    return bpe.train(TEXTS, 320)


@pytest.fixture(scope="module")
def folder(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    bpe.save(trained, path)
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    outputs = []
    for name, texts in (("train-00", TEXTS[:200]), ("train-01", [*TEXTS[200:300], ODD]), ("heldout-00", TEXTS[300:])):
        path = tmp_path / "corpus" / f"{name}.jsonl.zst"
        write_rows(path, ({"text": text, "group": "ab"[number % 2]} for number, text in enumerate(texts)))
        outputs.append({"name": path.name, "sha256": sha256_file(path)})
    pairs = tmp_path / "corpus" / "instructions.jsonl.zst"
    write_rows(pairs, ({"code": text} for text in TEXTS[:5]))
    write_json(tmp_path / "corpus" / "card.json", {"outputs": [*outputs, {"name": pairs.name, "sha256": ""}]})
    return tmp_path / "corpus"


def test_every_text_comes_back(trained: Any) -> None:
    assert trained.get_vocab_size() == 320
    trained.encode_special_tokens = True
    for text in [ODD, *TEXTS[:20]]:
        assert trained.decode(trained.encode(text).ids, skip_special_tokens=False) == text
    trained.encode_special_tokens = False


def test_the_size_must_be_a_multiple_of_64_and_reachable() -> None:
    with pytest.raises(UserError, match="multiple of 64, got 1000"):
        bpe.train(TEXTS, 1000)
    with pytest.raises(UserError, match="give more text"):
        bpe.train(["a b c"], 32_768)


def test_transformers_loads_the_files(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    loaded = transformers.AutoTokenizer.from_pretrained(str(folder))
    assert (loaded.eos_token, loaded.pad_token, len(loaded)) == (bpe.END, bpe.PAD, 320)
    assert loaded.pad_token_id != loaded.eos_token_id
    assert loaded.model_max_length == 1024
    text = ODD.replace(bpe.END, "")
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert loaded(f"a{bpe.END}")["input_ids"][-1] == loaded.eos_token_id
    batch = loaded(["a", TEXTS[0]], padding=True)
    assert batch["input_ids"][0][-1] == loaded.pad_token_id


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no tokenizer\.json in it; make it with: codelab corpus tokenizer"):
        bpe.load(tmp_path)


def test_other_files_are_not_taken_for_gpt2s(tmp_path: Path) -> None:
    (tmp_path / "encoder.json").write_text("{}")
    with pytest.raises(UserError, match=r"encoder\.json: expected the file of SHA-256 1961396"):
        bpe.gpt2(tmp_path)


def test_reach_counts_characters_bytes_and_tokens(trained: Any) -> None:
    found = bpe.reach("x", trained, ["ä", "ab"])
    assert (found.documents, found.characters, found.text_bytes) == (2, 3, 4)
    assert found.tokens == len(trained.encode("ä").ids) + len(trained.encode("ab").ids)
    assert found.characters_per_token == 3 / found.tokens
    with pytest.raises(UserError, match="no text"):
        bpe.reach("x", trained, [])


def test_the_comparison_says_what_is_saved(trained: Any, corpus: Path) -> None:
    small = bpe.train(TEXTS[:50], 320)
    report = compare(trained, small, corpus)
    assert len(report["rows"]) == 8
    ours, theirs = (row for row in report["rows"] if row["texts"] == "held-out files")
    assert report["saving"] == 1 - ours["tokens"] / theirs["tokens"]
    assert compare(trained, None, corpus)["saving"] is None


def test_the_token_folder_holds_every_document_once(trained: Any, folder: Path, corpus: Path, tmp_path: Path) -> None:
    meta = tokenise.tokenize(corpus, folder, tmp_path / "tokens", workers=2, report=lambda _: None)
    opened = open_tokens(tmp_path / "tokens")
    assert opened.vocabulary == 320
    assert opened.train.tokens == meta["splits"]["train"]["tokens"]
    assert opened.train.text_bytes == sum(len(text.encode()) for text in [*TEXTS[:300], ODD])
    assert meta["splits"]["train"]["documents"] == 301
    end = meta["end_token_id"]
    documents = []
    for array in opened.train.arrays:
        ends = np.flatnonzero(np.asarray(array) == end)
        assert ends[-1] == len(array) - 1
        documents += [trained.decode(part.tolist()) for part in np.split(np.asarray(array), ends + 1)[:-1]]
    assert sorted(documents) == sorted([*TEXTS[:300], ODD])
    assert {entry["group"] for entry in meta["splits"]["train"]["files"]} == {"a", "b"}


def test_the_first_parts_alone_and_all_of_the_held_out_text(folder: Path, corpus: Path, tmp_path: Path) -> None:
    (corpus / "train-01.jsonl.zst").unlink()
    with pytest.raises(UserError, match=r"train-01\.jsonl\.zst: missing, but the card names it"):
        tokenise.tokenize(corpus, folder, tmp_path / "tokens", workers=1, report=lambda _: None)
    meta = tokenise.tokenize(corpus, folder, tmp_path / "tokens", workers=1, parts=1, report=lambda _: None)
    assert {name: split["documents"] for name, split in meta["splits"].items()} == {"train": 200, "heldout": 100}


def test_a_foreign_tokenizer_gets_the_tokens_that_it_lacks(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = ["a", bpe.END]  # GPT-2 has its end token among the plain entries, and no pad token
    rival = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, []))
    rival.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.save(bpe.with_special_tokens(rival), tmp_path)
    loaded = bpe.load(tmp_path)
    assert [loaded.token_to_id(name) for name in ("a", bpe.END, bpe.PAD)] == [0, 1, 2]
    assert loaded.encode(f"a{bpe.END}").ids == [0, 1]


def test_no_token_file_grows_too_large_and_a_second_run_changes_nothing(
    folder: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenise, "MOST_BYTES", 2_000)
    out = tmp_path / "tokens"
    out.mkdir()
    end = json.loads((folder / "tokenizer.json").read_text())["added_tokens"][0]["id"]
    files = tokenise._tokenize_file((corpus / "train-00.jsonl.zst", folder, out, end, "key"))
    assert len(files) > 4
    assert all((out / one["file"]).stat().st_size == 2 * one["tokens"] <= 2_000 for one in files)
    assert sum(one["documents"] for one in files) == 200
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert tokenise._tokenize_file((corpus / "train-00.jsonl.zst", folder, out, end, "key")) == files
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == times


def test_an_unfinished_corpus_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no card\.json in it; finish it with: codelab corpus build"):
        tokenise.tokenize(tmp_path, folder, tmp_path / "tokens", workers=1)
    assert not (tmp_path / "tokens").exists()
