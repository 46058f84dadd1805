"""Rows that generate together: their tokens, their attention mask and one key-value cache, rebuilt as rows come and go.

A pool is left-padded. Between two runs of ``model.generate`` it is packed anew: rows that have ended leave, rows that
were filled in elsewhere join, columns that are padding for all are cut, and the cache gets room for the tokens to
come, so that no step copies it. Not covered: choosing tokens and when a row has ended (``transformers_generation``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from codelab.models.generation import NeverStop, StopRule


class RunningText:
    """The text of a row as it grows: each call decodes what is new, and no token is decoded more than a few times.

    With a byte-level tokenizer the text is that of decoding all tokens at once, a character whose last bytes are still
    missing included. Elsewhere it may differ in spaces, hence a rule that sees an end in it must be asked again.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.settled = ""
        self.context: list[int] = []
        self.shown = 0  # characters of the context's text, which are settled
        self.loose: list[int] = []

    def add(self, ids: Sequence[int]) -> str:
        """The whole text, these tokens included."""
        self.loose += ids
        # The tokens before go along: some tokenizers drop a space from the very first one.
        now = self._decode(self.context + self.loose)
        text = self.settled + now[self.shown :]
        # A replacement character at the end may be half of another one: those tokens are decoded again.
        if self.loose and not now.endswith("\ufffd"):
            self.settled, self.context, self.loose = text, self.loose[-1:], []
            self.shown = len(self._decode(self.context))
        return text

    def _decode(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


@dataclass(eq=False)
class Row:
    """One completion on its way.

    Attributes:
        place: where the completion goes, (prompt, index).
        prompt: its token ids.
        stop: the rule that ends it.
        uniform: its own numbers between 0 and 1, one a token to draw; empty when decoding is greedy.
        answer: tokens so far, past an end too until the next look.
        text: their text, for rules that read it.
        done: ended; nothing that follows counts.
    """

    place: tuple[int, int]
    prompt: list[int]
    stop: StopRule
    uniform: np.ndarray[Any, np.dtype[np.float64]]
    text: RunningText
    answer: list[int] = field(default_factory=list)
    done: bool = False

    @property
    def length(self) -> int:
        """Tokens of prompt and answer."""
        return len(self.prompt) + len(self.answer)

    @property
    def reads(self) -> bool:
        """Whether the rule needs the text at all."""
        return not isinstance(self.stop, NeverStop)


class RoomyLayer(DynamicLayer):
    """A layer of a dynamic cache that writes new keys and values in place while its buffers have room.

    Rows are moved by :func:`pack` alone; of what changes a cache, ``update`` and ``crop`` are the parts that work.
    """

    is_initialized: bool

    def __init__(self, room: int = 0) -> None:
        super().__init__()
        self.room = room
        self.stores: tuple[torch.Tensor, torch.Tensor] | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All keys and values, the new ones last; shapes (rows, heads, columns, head size)."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.stores is None or self.stores[0].shape[-2] < end:
            old = self.keys, self.values
            self.stores = _empty(key_states, end + self.room), _empty(value_states, end + self.room)
            for store, held in zip(self.stores, old, strict=True):
                if start:
                    store[:, :, :start] = held
        self.stores[0][:, :, start:end] = key_states
        self.stores[1][:, :, start:end] = value_states
        return self.hold(self.stores, end)

    def hold(self, stores: tuple[torch.Tensor, torch.Tensor], columns: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Take over buffers of which so many columns are filled."""
        if not self.is_initialized:
            self.lazy_initialization(*stores)
        self.stores = stores
        self.keys, self.values = stores[0][:, :, :columns], stores[1][:, :, :columns]
        return self.keys, self.values

    def release(self) -> None:
        """Forget all keys and values."""
        self.stores = self.keys = self.values = None
        self.is_initialized = False


def movable(config: Any) -> bool:
    """Whether rows can be taken out of a model's dynamic cache: every layer keeps all its keys and values."""
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=config).layers)


@dataclass
class Pool:
    """Rows that advance together.

    Attributes:
        rows: one a line of the tensors.
        tokens: prompts and answers, shape (rows, width).
        mask: 1 for tokens and 0 for padding, same shape.
        cache: keys and values of all tokens but the last, of none at the beginning; None where the model makes its own.
    """

    rows: list[Row]
    tokens: torch.Tensor
    mask: torch.Tensor
    cache: Any = None

    @classmethod
    def begin(cls, rows: list[Row], pad: int, device: Any, cache: Any = None) -> "Pool":
        """A pool of rows that have no answer yet."""
        width = max(len(row.prompt) for row in rows)
        tokens = torch.full((len(rows), width), pad, dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for line, row in enumerate(rows):
            tokens[line, width - len(row.prompt) :] = torch.tensor(row.prompt)
            mask[line, width - len(row.prompt) :] = 1
        return cls(rows, tokens.to(device), mask.to(device), cache)

    def append(self, new: torch.Tensor, cache: Any) -> None:
        """Go on behind new tokens, shape (rows, steps), of which the cache lacks the last."""
        self.tokens, self.cache = torch.cat([self.tokens, new], dim=1), cache
        self.mask = torch.cat([self.mask, self.mask.new_ones(new.shape)], dim=1)


def roomy_cache(config: Any, room: int) -> DynamicCache:
    """An empty cache for a model that is :func:`movable`, which grows by so many columns in place."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer(room) for _ in cache.layers]
    return cache


def pack(pools: Sequence[Pool], room: int) -> Pool | None:
    """The rows of these pools that are not done as one pool, or None if there are none; the pools are used up.

    Keys before values and layer by layer: beside one cache, copies of one layer's keys are all that is held.

    Args:
        pools: all past their first token, on one device, with caches of :func:`roomy_cache`.
        room: columns that the new cache can take in place.
    """
    kept = [[line for line, row in enumerate(pool.rows) if not row.done] for pool in pools]
    rows = [pool.rows[line] for pool, lines in zip(pools, kept, strict=True) for line in lines]
    layers = [pool.cache.layers for pool in pools]
    if not rows:
        return None
    width = max(row.length for row in rows)
    picks = [_pick(pool, lines) for pool, lines in zip(pools, kept, strict=True)]
    tokens = _join([pool.tokens for pool in pools], picks, width, 0)
    mask = _join([pool.mask for pool in pools], picks, width, 0)
    for parts in zip(*layers, strict=True):
        keys = _join([part.keys for part in parts], picks, width - 1, room)
        for part in parts:
            part.keys, part.stores = None, None if part.stores is None else (None, part.stores[1])
        values = _join([part.values for part in parts], picks, width - 1, room)
        for part in parts:
            part.release()
        parts[0].hold((keys, values), width - 1)
    return Pool(rows, tokens, mask, pools[0].cache)


def _pick(pool: Pool, lines: list[int]) -> Any:
    return slice(None) if len(lines) == len(pool.rows) else torch.tensor(lines, device=pool.tokens.device)


def _empty(like: torch.Tensor, columns: int) -> torch.Tensor:
    return like.new_empty((*like.shape[:-2], columns, like.shape[-1]))


def _join(parts: list[torch.Tensor], picks: list[Any], width: int, room: int) -> torch.Tensor:
    """Lines of several tensors below each other, right-aligned in ``width`` columns, zeros at the left; room behind."""
    dim = 1 if parts[0].ndim == 2 else 2  # columns of tokens, or of keys
    counts = [part.shape[0] if isinstance(pick, slice) else len(pick) for part, pick in zip(parts, picks, strict=True)]
    shape = list(parts[0].shape)
    shape[0], shape[dim] = sum(counts), width + room
    made, line = parts[0].new_empty(shape), 0
    for part, pick, count in zip(parts, picks, counts, strict=True):
        columns = min(width, part.shape[dim])
        place = made.narrow(0, line, count)
        # Padding is masked, yet what lies in fresh memory may be no number, and that would spread.
        place.narrow(dim, 0, width - columns).zero_()
        place.narrow(dim, width - columns, columns).copy_(part.narrow(dim, part.shape[dim] - columns, columns)[pick])
        line += count
    return made
