"""The tokenizer of the model trained from scratch: byte-level BPE trained on the corpus, and its rival, GPT-2's own.

Saved as ``tokenizer.json``, ``tokenizer_config.json`` and ``special_tokens_map.json``, which
``PreTrainedTokenizerFast``, vLLM and unsloth load as they are. It has an end and a pad token of its own, because a pad
token equal to the end token hides the end of a text from training. Not covered: what a tokenizer does to the loss; that
takes a training run.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.records import sha256_file

VOCABULARY = 32_768
END, PAD = "<|endoftext|>", "<|pad|>"
CONTEXT = 1_024
"""Tokens of context that the saved configuration states."""

GPT2_FILES = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}
"""GPT-2's own vocabulary and merges, by SHA-256."""


@dataclass(frozen=True)
class Reach:
    """How far a tokenizer's tokens reach over a text.

    Attributes:
        name: of the tokenizer.
        vocabulary: entries, special ones included.
        documents: texts counted.
        characters: Unicode characters in them.
        text_bytes: UTF-8 bytes in them.
        tokens: tokens they became, without end tokens.
    """

    name: str
    vocabulary: int
    documents: int
    characters: int
    text_bytes: int
    tokens: int

    @property
    def characters_per_token(self) -> float:
        """Characters a token."""
        return self.characters / self.tokens

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes a token."""
        return self.text_bytes / self.tokens


def train(texts: Iterable[str], vocabulary: int = VOCABULARY) -> Any:
    """Train byte-level BPE; the first two ids are :data:`END` and :data:`PAD`.

    Args:
        texts: the training texts, read once.
        vocabulary: entries, a multiple of 64 so that matrices over it have a size that GPUs like.

    Returns:
        A ``tokenizers.Tokenizer``.

    Raises:
        UserError: the size is no multiple of 64, or the texts are too few to fill it.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415 - heavy

    if vocabulary % 64:
        raise UserError(f"tokenizer: vocabulary: expected a multiple of 64, got {vocabulary}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=2,
        show_progress=False,
        max_token_length=64,
    )
    tokenizer.train_from_iterator(_batched(texts), trainer=trainer)
    if (found := tokenizer.get_vocab_size()) != vocabulary:
        raise UserError(f"tokenizer: only {found} entries from these texts, expected {vocabulary}; give more text")
    return tokenizer


def gpt2(folder: Path) -> Any:
    """GPT-2's own BPE from a folder with ``encoder.json`` and ``vocab.bpe``.

    Raises:
        UserError: a file is missing or is not GPT-2's.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: PLC0415 - heavy

    for name, expected in GPT2_FILES.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != expected:
            raise UserError(f"GPT-2's tokenizer: {path}: expected the file of SHA-256 {expected}")
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "encoder.json"), str(folder / "vocab.bpe")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def with_special_tokens(tokenizer: Any) -> Any:
    """Make :data:`END` and :data:`PAD` special in a foreign tokenizer, adding those that its vocabulary lacks."""
    tokenizer.add_special_tokens([END, PAD])
    return tokenizer


def load(folder: Path) -> Any:
    """A saved tokenizer, as ``tokenizers.Tokenizer``.

    Raises:
        UserError: no tokenizer in the folder.
    """
    from tokenizers import Tokenizer  # noqa: PLC0415 - heavy

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"tokenizer {folder}: no tokenizer.json in it; make it with: codelab corpus tokenizer")
    return Tokenizer.from_file(str(path))


def save(tokenizer: Any, folder: Path) -> None:
    """Write the files that transformers, vLLM and unsloth read; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    special = {"bos_token": END, "eos_token": END, "unk_token": END, "pad_token": PAD}
    config = {
        **special,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
    }
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, value in (("special_tokens_map.json", special), ("tokenizer_config.json", config)):
        (folder / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def reach(name: str, tokenizer: Any, texts: Iterable[str]) -> Reach:
    """Count a tokenizer's tokens over texts that it was not trained on.

    Raises:
        UserError: there is no text.
    """
    documents = characters = size = tokens = 0
    for batch in _batched(texts):
        documents += len(batch)
        characters += sum(map(len, batch))
        size += sum(len(text.encode()) for text in batch)
        tokens += sum(len(one.ids) for one in tokenizer.encode_batch_fast(batch, add_special_tokens=False))
    if tokens == 0:
        raise UserError(f"tokenizer {name}: no text to count tokens of")
    return Reach(name, tokenizer.get_vocab_size(), documents, characters, size, tokens)


def _batched(texts: Iterable[str], size: int = 500) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
