"""The corpus as tokens: flat little-endian ``uint16`` files with an end token after each document, and ``meta.json``.

Training files are kept apart by group, so that one group can be repeated; each file stays below :data:`MOST_BYTES`, so
that it can travel in parts. Written by one process for each corpus file, continued where it stopped. ``meta.json`` is
written last and is what :mod:`codelab.train.tokens` opens. Not covered: packing tokens into rows.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from codelab.errors import UserError
from codelab.records import sha256_file, sha256_value
from codelab.tasks import tokenizer as bpe
from codelab.tasks.corpus.files import read_json, read_rows, write_json
from codelab.tasks.corpus.workers import pool as start_pool

VERSION = 1
MOST_BYTES = 58_000_000
GROUPS = ("a", "b")


def tokenize(
    corpus: Path,
    tokenizer: Path,
    out: Path,
    *,
    workers: int,
    parts: int | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Tokenise a finished corpus.

    Args:
        corpus: folder with ``card.json``, as the build leaves it.
        tokenizer: folder with ``tokenizer.json``.
        out: where the token files go.
        workers: processes.
        parts: how many of the training files to take, the first ones; all of them by default.
        report: takes one line a corpus file.

    Returns:
        ``meta.json``: ``vocab_size``, ``end_token_id``, ``pad_token_id``, and for ``train`` and ``heldout`` the
        ``files`` (name, tokens, documents, text bytes, group, SHA-256), their sums ``tokens``, ``documents`` and
        ``bytes`` (UTF-8 bytes of text, end tokens not counted), and ``bytes_per_token``.

    Raises:
        UserError: no finished corpus, no tokenizer, or one whose ids need more than 16 bits.
    """
    card = read_json(corpus / "card.json")
    if not isinstance(card, dict):
        raise UserError(f"corpus {corpus}: no card.json in it; finish it with: codelab corpus build")
    loaded = bpe.load(tokenizer)
    size, end, pad = loaded.get_vocab_size(), loaded.token_to_id(bpe.END), loaded.token_to_id(bpe.PAD)
    if size > 1 << 16 or end is None or pad is None:
        raise UserError(f"tokenizer {tokenizer}: expected at most 65536 entries, {bpe.END} and {bpe.PAD} among them")
    out.mkdir(parents=True, exist_ok=True)
    digest = sha256_file(tokenizer / "tokenizer.json")
    named = sorted(one["name"] for one in card["outputs"] if one["name"].startswith("train-"))[:parts]
    texts = [one for one in card["outputs"] if one["name"] in named or one["name"].startswith("heldout-")]
    for one in texts:
        if not (corpus / one["name"]).is_file():
            raise UserError(
                f"{corpus / one['name']}: missing, but the card names it; make it with: codelab corpus build"
            )
    jobs = [
        (corpus / one["name"], tokenizer, out, end, sha256_value([VERSION, MOST_BYTES, digest, one["sha256"]]))
        for one in texts
    ]
    files: list[dict[str, Any]] = []
    with start_pool(min(workers, len(jobs))) as pool:
        for done in pool.imap(_tokenize_file, jobs):
            files += done
            report(", ".join(f"{one['file']}: {one['tokens']} tokens" for one in done))
    meta = {
        "vocab_size": size,
        "end_token_id": end,
        "pad_token_id": pad,
        "dtype": "uint16",
        "byte_order": "little",
        "tokenizer_sha256": digest,
        "corpus_card_sha256": sha256_file(corpus / "card.json"),
        "splits": {split: _split(files, split) for split in ("train", "heldout")},
    }
    write_json(out / "meta.json", meta)
    return meta


def _split(files: list[dict[str, Any]], split: str) -> dict[str, Any]:
    those = [one for one in files if one["file"].startswith(split)]
    sums = {name: sum(one[name] for one in those) for name in ("tokens", "documents", "bytes")}
    return {"files": those, **sums, "bytes_per_token": sums["bytes"] / max(1, sums["tokens"])}


def _tokenize_file(job: tuple[Path, Path, Path, int, str]) -> list[dict[str, Any]]:
    path, folder, out, end, key = job
    stem = path.name.removesuffix(".jsonl.zst")
    facts_path = out / f".{stem}.json"
    known = read_json(facts_path)
    if (
        isinstance(known, dict)
        and known.get("key") == key
        and all((out / one["file"]).is_file() for one in known["files"])
    ):
        files: list[dict[str, Any]] = known["files"]
        return files
    loaded = bpe.load(folder)
    loaded.encode_special_tokens = True  # an end token spelled out in a file is text
    files = []
    for group in GROUPS:
        writer = TokenWriter(out, f"{stem}-{group}", group)
        batch: list[str] = []
        for row in read_rows(path):
            if row["group"] == group:
                batch.append(row["text"])
            if len(batch) == 256:
                writer.add(loaded, batch, end)
                batch = []
        writer.add(loaded, batch, end)
        files += writer.close()
    write_json(facts_path, {"key": key, "files": files})
    return files


class TokenWriter:
    """Collects documents and writes a file whenever the next one would make it too large."""

    def __init__(self, out: Path, stem: str, group: str) -> None:
        self._out, self._stem, self._group = out, stem, group
        self._ids: list[np.ndarray[Any, np.dtype[np.uint16]]] = []
        self._tokens = self._bytes = 0
        self._files: list[dict[str, Any]] = []

    def add(self, tokenizer: Any, texts: list[str], end: int) -> None:
        """Add documents, an end token after each."""
        for text, one in zip(texts, tokenizer.encode_batch_fast(texts, add_special_tokens=False), strict=True):
            ids = np.asarray([*one.ids, end], dtype="<u2")
            if 2 * (self._tokens + len(ids)) > MOST_BYTES:
                self._flush()
            self._ids.append(ids)
            self._tokens += len(ids)
            self._bytes += len(text.encode())

    def close(self) -> list[dict[str, Any]]:
        """Write what is left; returns the facts of all files."""
        self._flush()
        return self._files

    def _flush(self) -> None:
        if not self._ids:
            return
        path = self._out / f"{self._stem}-{len(self._files)}.bin"
        partial = path.with_name(f".{path.name}.partial")
        np.concatenate(self._ids).tofile(partial)
        partial.rename(path)
        facts = {"file": path.name, "tokens": self._tokens, "documents": len(self._ids), "bytes": self._bytes}
        self._files.append(facts | {"group": self._group, "sha256": sha256_file(path)})
        self._ids, self._tokens, self._bytes = [], 0, 0
