"""Two tokenizers side by side on texts that neither was trained on: characters and bytes a token.

Counted on the held-out files, by group, and on the instruction pairs' code. Not covered: the effect on a model's loss
in bits per byte, which a pretraining run measures.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.tasks import tokenizer as bpe
from codelab.tasks.corpus.files import read_rows

NAME, RIVAL = "byte-level BPE of the corpus", "GPT-2's BPE"


def compare(trained: Any, rival: Any | None, corpus: Path) -> dict[str, Any]:
    """Count both tokenizers' tokens.

    Args:
        trained: the tokenizer of the corpus.
        rival: GPT-2's, or None where it is not at hand; the result then says so.
        corpus: folder with ``heldout-*.jsonl.zst`` and ``instructions.jsonl.zst``.

    Returns:
        ``rows`` (one a tokenizer and kind of text) and ``saving``, the share of tokens that the trained one needs less
        than the rival on all held-out files; None without a rival.

    Raises:
        UserError: no held-out file.
    """
    heldout = sorted(corpus.glob("heldout-*.jsonl.zst"))
    if not heldout:
        raise UserError(f"corpus {corpus}: no heldout-*.jsonl.zst in it; make it with: codelab corpus build")

    def texts(group: str) -> Callable[[], Iterator[str]]:
        return lambda: (row["text"] for path in heldout for row in read_rows(path) if group in {"all", row["group"]})

    kinds: dict[str, Callable[[], Iterator[str]]] = {
        "held-out files": texts("all"),
        "held-out files, group a": texts("a"),
        "held-out files, group b": texts("b"),
        "code of the instruction pairs": lambda: (row["code"] for row in read_rows(corpus / "instructions.jsonl.zst")),
    }
    both = [(NAME, trained)] + ([(RIVAL, rival)] if rival is not None else [])
    rows = [_row(kind, bpe.reach(name, one, make())) for kind, make in kinds.items() for name, one in both]
    total = {row["tokenizer"]: row["tokens"] for row in rows if row["texts"] == "held-out files"}
    return {"rows": rows, "saving": 1 - total[NAME] / total[RIVAL] if rival is not None else None}


def _row(kind: str, found: bpe.Reach) -> dict[str, Any]:
    return {
        "texts": kind,
        "tokenizer": found.name,
        "vocabulary": found.vocabulary,
        "documents": found.documents,
        "characters": found.characters,
        "bytes": found.text_bytes,
        "tokens": found.tokens,
        "characters_per_token": found.characters_per_token,
        "bytes_per_token": found.bytes_per_token,
    }
