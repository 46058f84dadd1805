"""Pad tokens before training: kept, found in the vocabulary, or added with rows that change nothing else."""

from pathlib import Path
from typing import Any

import pytest

from codelab.errors import UserError
from codelab.models.padding import own_padding

from .tiny import model

pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODELAB_CACHE", str(tmp_path / "cache"))


def _save(folder: Path, specials: dict[str, str], rows: int = 258) -> Path:
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = list(dict.fromkeys([*specials.values(), "<|endoftext|>"]))
    raw = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate([*names, *alphabet])}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(name, special=True) for name in names])
    made = PreTrainedTokenizerFast(tokenizer_object=raw, **specials)
    made.save_pretrained(folder)
    network = model("gpt2")
    if rows != 258:
        network.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():  # as trained models have it: every logit far below zero
        network.transformer.ln_f.bias.fill_(2.0)
        network.get_input_embeddings().weight.sub_(0.5)
    network.save_pretrained(folder)
    return folder


def _read(folder: Path | str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def test_a_pad_token_of_its_own_is_left_alone(tmp_path: Path) -> None:
    folder = _save(tmp_path / "m", {"eos_token": "<|endoftext|>", "pad_token": "<|pad|>"})
    assert own_padding(f"path:{folder}") == folder
    assert not (tmp_path / "cache").exists()


def test_a_spare_token_of_the_vocabulary_pads_and_the_weights_are_not_copied(tmp_path: Path) -> None:
    folder = _save(tmp_path / "m", {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>"})
    made = own_padding(f"path:{folder}")
    network, tokenizer = _read(made)
    assert made != folder
    assert tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert network.config.pad_token_id == tokenizer.pad_token_id
    assert (Path(made) / "model.safetensors").resolve() == folder / "model.safetensors"
    assert _read(folder)[1].pad_token == "<|im_end|>", "the original stays as it is"
    assert own_padding(f"path:{folder}") == made


@pytest.mark.parametrize("rows", [257, 320])
def test_an_added_token_gets_a_row_and_nothing_else_changes(tmp_path: Path, rows: int) -> None:
    import torch

    folder = _save(tmp_path / "m", {"eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}, rows)
    before, tokenizer = _read(folder)
    made = own_padding(f"path:{folder}")
    after, padded = _read(made)
    assert padded.pad_token_id == 257
    assert after.config.vocab_size == 320
    assert padded.pad_token_id < after.get_input_embeddings().weight.shape[0]
    ids = torch.tensor([tokenizer("def add(a, b):")["input_ids"]])
    assert padded("def add(a, b):")["input_ids"] == ids[0].tolist()
    with torch.no_grad():
        old, new = before(ids).logits, after(ids).logits
    torch.testing.assert_close(new[..., :rows], old)
    if rows == 257:
        chance = new.softmax(-1)
        share = chance[..., 257] / chance[..., :257].mean(-1)
        assert float(share.max()) <= 1, "a new token must not be likelier than the average one"


def test_changed_weights_are_padded_anew(tmp_path: Path) -> None:
    first = own_padding(f"path:{_save(tmp_path / 'a', {'eos_token': '<|im_end|>', 'pad_token': '<|im_end|>'})}")
    second = own_padding(f"path:{_save(tmp_path / 'b', {'eos_token': '<|im_end|>', 'pad_token': '<|im_end|>'})}")
    assert first != second


def test_no_tokenizer_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        own_padding(f"path:{tmp_path / 'm'}")
