"""A tiny tokenised corpus with its tokenizer, made on the spot."""

import json
from pathlib import Path

import numpy as np
import pytest

TEXT = "def add(a, b):\n    return a + b\n\n\nfor i in range(10):\n    print(add(i, 2))\n"


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE of about 300 tokens, saved the way transformers loads it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>", "<|pad|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    raw.train_from_iterator([TEXT] * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|endoftext|>", eos_token="<|endoftext|>", pad_token="<|pad|>"
    )
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_tokens(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Path) -> Path:
    """Token shards of repeated text: two training files and one held-out file."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    folder = tmp_path_factory.mktemp("tokens")
    document = [*tokenizer.encode(TEXT), tokenizer.eos_token_id]
    splits = {}
    for split, repeats in (("train", (60, 40)), ("heldout", (20,))):
        files = []
        for index, count in enumerate(repeats):
            tokens = np.array(document * count, dtype="<u2")
            tokens.tofile(folder / f"{split}-{index:03}.bin")
            files.append({"file": f"{split}-{index:03}.bin", "tokens": len(tokens)})
        splits[split] = {"files": files, "bytes": len(TEXT.encode()) * sum(repeats)}
    (folder / "meta.json").write_text(json.dumps({"vocab_size": len(tokenizer), "splits": splits}))
    return folder
