"""Text as it grows, and rows that change pools with their keys and values."""

import random

import numpy as np
import pytest

from codelab.models.generation import NeverStop

pytest.importorskip("torch")

import torch
from transformers import LlamaConfig, MistralConfig

from codelab.models.transformers_pool import Pool, Row, RunningText, movable, pack, roomy_cache

from .tiny import model, tokenizer


class SpaceStripping:
    """Decodes words like a tokenizer that marks spaces in the words and drops the first; counts what it decodes."""

    def __init__(self) -> None:
        self.decoded = 0

    def decode(self, ids, skip_special_tokens):
        assert skip_special_tokens
        self.decoded += len(ids)
        return "".join(f" {word}" for word in ids).removeprefix(" ")


@pytest.mark.parametrize("seed", range(5))
def test_text_is_that_of_all_tokens_wherever_it_is_cut(seed):
    words, chance = tokenizer(), random.Random(seed)
    ids = list(words("aé€😀\ufffdñ" * 12)["input_ids"])
    for _ in range(40):
        ids[chance.randrange(len(ids))] = chance.randrange(258)  # broken characters and special tokens
    running, done = RunningText(words), 0
    while done < len(ids):
        step = chance.randrange(1, 6)
        text = running.add(ids[done : done + step])
        done += step
        assert text == words.decode(ids[:done], skip_special_tokens=True)


def test_a_tokenizer_that_drops_the_first_space_keeps_the_others_at_linear_cost():
    words = SpaceStripping()
    running = RunningText(words)
    for start in range(0, 320, 16):
        text = running.add(list(range(start, start + 16)))
    assert text == " ".join(map(str, range(320)))
    assert words.decoded < 320 * 1.2


def row(prompt: list[int], answer: int, done: bool = False) -> Row:
    made = Row((0, 0), prompt, NeverStop(), np.zeros(0), RunningText(None))
    made.answer, made.done = [7] * answer, done
    return made


def filled(llama, prompts: list[list[int]], room: int = 0) -> Pool:
    pool = Pool.begin([row(ids, 0) for ids in prompts], 0, "cpu", roomy_cache(llama.config, room))
    out = llama(pool.tokens, attention_mask=pool.mask, past_key_values=pool.cache, position_ids=positions(pool.mask))
    pool.append(out.logits[:, -1:].argmax(-1), pool.cache)
    for line, one in enumerate(pool.rows):
        one.answer += [int(pool.tokens[line, -1])]
    return pool


def positions(mask):
    return (mask.cumsum(-1) - 1).clamp(min=0)


@torch.inference_mode()
def test_a_packed_pool_goes_on_as_each_of_its_rows_would_alone():
    llama = model("llama")
    first, second = [[5] * 20, [6, 7, 8], [9] * 11], [[3] * 4, [4] * 8]
    pools = [filled(llama, first), filled(llama, second, room=2)]
    pools[0].rows[0].done = pools[1].rows[0].done = True
    packed = pack(pools, 3)
    assert [one.prompt for one in packed.rows] == [first[1], first[2], second[1]]
    assert packed.mask.tolist() == [[0] * 8 + [1] * 4, [1] * 12, [0] * 3 + [1] * 9]
    assert packed.cache.get_seq_length() == 11, "cut to the longest row"
    stores = [layer.stores[0].data_ptr() for layer in packed.cache.layers]
    assert [layer.stores[0].shape[2] for layer in packed.cache.layers] == [14, 14]
    step = llama(
        packed.tokens[:, -1:],
        attention_mask=packed.mask,
        past_key_values=packed.cache,
        position_ids=positions(packed.mask)[:, -1:],
    )
    assert [layer.stores[0].data_ptr() for layer in packed.cache.layers] == stores
    for line, one in enumerate(packed.rows):
        alone = llama(torch.tensor([one.prompt + one.answer])).logits[0, -1]
        torch.testing.assert_close(step.logits[line, -1], alone, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_old_pools_keep_nothing_and_a_pool_of_ended_rows_is_none():
    llama = model("llama")
    pools = [filled(llama, [[5] * 6]), filled(llama, [[6] * 4])]
    packed = pack(pools, 1)
    assert packed.cache is pools[0].cache
    assert all(layer.keys is None and layer.stores is None for layer in pools[1].cache.layers)
    for one in packed.rows:
        one.done = True
    assert pack([packed], 1) is None


@torch.inference_mode()
def test_padding_in_a_joined_cache_is_zero_not_what_memory_held():
    llama = model("llama")
    packed = pack([filled(llama, [[5] * 9]), filled(llama, [[6] * 2])], 4)
    for layer in packed.cache.layers:
        assert not layer.keys[1, :, :7].any()
        assert layer.keys[1, :, 7:].any()


def test_models_whose_layers_forget_are_told_apart():
    sizes = {"num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 2}
    assert movable(LlamaConfig(**sizes))
    assert not movable(MistralConfig(**sizes, sliding_window=16))
    assert movable(MistralConfig(**sizes, sliding_window=None))
    assert movable(model("gpt2").config)
