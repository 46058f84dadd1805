"""Token folders for continued training of a model with a tokenizer of its own, cut to a size that can travel.

Takes any ``train*.jsonl.zst`` and ``heldout*.jsonl.zst`` (the general text, or the Python corpus) and writes what
:mod:`codelab.train.tokens` opens. Documents are taken in file order, which both builds shuffle by a frozen hash, up
to a limit of text is reached. Probes beside the text are copied. Not covered: vocabularies beyond 16 bits, and the
corpus in the tokenizer trained on it (``codelab corpus tokenize``).
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.records import sha256_file, sha256_value
from codelab.tasks import tokenizer as bpe
from codelab.tasks.corpus.files import read_json, read_rows, write_json
from codelab.tasks.corpus.tokenise import TokenWriter

VERSION = 2


def tokenize(
    text: Path,
    tokenizer: Path,
    out: Path,
    *,
    train_bytes: int,
    heldout_bytes: int,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Tokenise the first documents of each split.

    Args:
        text: folder with ``card.json`` and the splits' files.
        tokenizer: folder with ``tokenizer.json``, whose end-of-text token is ``<|endoftext|>``.
        out: where the token files go; a folder that was made from the same files with the same limits stays.
        train_bytes: UTF-8 bytes of training text, at most (one document more than that is not begun).
        heldout_bytes: the same for held-out text.
        report: takes one line a split.

    Returns:
        ``meta.json``, as ``codelab corpus tokenize`` writes it.

    Raises:
        UserError: no text, no tokenizer, or one whose ids need more than 16 bits.
    """
    card = read_json(text / "card.json")
    if not isinstance(card, dict):
        raise UserError(
            f"text {text}: no card.json in it; make it with: codelab corpus general, or codelab corpus build"
        )
    loaded = bpe.load(tokenizer)
    size, end = loaded.get_vocab_size(), loaded.token_to_id(bpe.END)
    if size > 1 << 16 or end is None:
        raise UserError(f"tokenizer {tokenizer}: expected at most 65536 entries, {bpe.END} among them")
    digest = sha256_file(tokenizer / "tokenizer.json")
    key = sha256_value([VERSION, digest, train_bytes, heldout_bytes, sha256_file(text / "card.json")])
    known = read_json(out / "meta.json")
    if isinstance(known, dict) and known.get("key") == key:
        return known
    loaded.encode_special_tokens = True  # an end token spelled out in a text is text
    out.mkdir(parents=True, exist_ok=True)
    splits: dict[str, Any] = {}
    for name, most in (("train", train_bytes), ("heldout", heldout_bytes)):
        writer = TokenWriter(out, name, "general")
        batch: list[str] = []
        for document in _first(sorted(text.glob(f"{name}*.jsonl.zst")), most):
            batch.append(document)
            if len(batch) == 256:
                writer.add(loaded, batch, end)
                batch = []
        writer.add(loaded, batch, end)
        files = writer.close()
        sums = {one: sum(file[one] for file in files) for one in ("tokens", "documents", "bytes")}
        if not files:
            raise UserError(f"text {text}: no {name}*.jsonl.zst with text in it")
        splits[name] = {"files": files, **sums, "bytes_per_token": sums["bytes"] / sums["tokens"]}
        report(f"{name}: {sums['tokens']} tokens of {sums['documents']} documents, {sums['bytes']} bytes")
    if (text / "probes.jsonl").exists():
        shutil.copyfile(text / "probes.jsonl", out / "probes.jsonl")
    meta = {"key": key, "vocab_size": size, "end_token_id": end, "dtype": "uint16", "byte_order": "little"}
    meta |= {"tokenizer_sha256": digest, "corpus_card_sha256": sha256_file(text / "card.json"), "splits": splits}
    write_json(out / "meta.json", meta)
    return meta


def _first(files: list[Path], most: int) -> Iterator[str]:
    taken = 0
    for path in files:
        for row in read_rows(path):
            if taken >= most:
                return
            taken += len(row["text"].encode())
            yield row["text"]
