"""Training rows of one length: raw text as it comes, prompt and completion pairs packed side by side without mixing.

A batch holds token ids, a segment number a token and a mask of the labels that count. Packed pairs see only their own
segment, so that packing changes speed and nothing else; a row of raw text is one segment, as in pretraining. Old text
is interleaved at a fixed share of the rows. Needs no torch. Not covered: tokenising pairs (``codelab.train.sft``) and
the attention that honours segments (``adapt_loop``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from codelab.errors import UserError
from codelab.train.tokens import RowOrder

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Attributes:
        ids: tokens, shape (rows, length + 1): inputs and, shifted by one, labels.
        segments: segment of each input, shape (rows, length); 0 is padding.
        counted: 1 where the label of an input counts, shape (rows, length).
        packed: whether any row holds more than one segment.
    """

    ids: Ints
    segments: Ints
    counted: Ints
    packed: bool

    @property
    def positions(self) -> Ints:
        """Position of each input within its segment, shape (rows, length)."""
        places = np.broadcast_to(np.arange(self.segments.shape[1]), self.segments.shape)
        starts = np.where(np.diff(self.segments, axis=1, prepend=-1) != 0, places, 0)
        passed: Ints = places - np.maximum.accumulate(starts, axis=1)
        return passed


class Rows(Protocol):
    """An endless sequence of rows that a position alone determines."""

    def take(self, first: int, count: int) -> Batch:
        """Rows ``first`` to ``first + count``."""


class TextRows:
    """Rows of raw text; every label counts."""

    def __init__(self, order: RowOrder) -> None:
        self._order = order

    def take(self, first: int, count: int) -> Batch:
        """See :class:`Rows`."""
        ids = self._order.batch(first, count)
        ones = np.ones((count, ids.shape[1] - 1), np.int64)
        return Batch(ids, ones, ones, packed=False)


class PairRows:
    """Pairs packed into rows once, in a seeded order; the rows are shuffled anew in each epoch.

    Args:
        examples: rows with ``input_ids`` and ``completion_mask``, none longer than ``length``.
        length: inputs a row.
        seed: of both orders.
        pad: id that fills a row up.

    Raises:
        UserError: there is no example.
    """

    def __init__(self, examples: Sequence[dict[str, list[int]]], length: int, seed: int, pad: int = 0) -> None:
        if not examples:
            raise UserError(f"pairs: none fits into {length} tokens")
        self._seed, self._epoch = seed, -1
        self._order = np.empty(0, np.int64)
        order = np.random.default_rng([seed, 7]).permutation(len(examples))
        rows: list[list[int]] = []
        room = -1
        for index in order.tolist():
            size = len(examples[index]["input_ids"])
            if size > room:
                rows.append([])
                room = length
            rows[-1].append(index)
            room -= size
        self._ids = np.full((len(rows), length + 1), pad, np.int64)
        self._segments = np.zeros((len(rows), length), np.int64)
        self._counted = np.zeros((len(rows), length), np.int64)
        for row, members in enumerate(rows):
            at = 0
            for number, index in enumerate(members, 1):
                ids, mask = examples[index]["input_ids"], examples[index]["completion_mask"]
                self._ids[row, at : at + len(ids)] = ids
                self._segments[row, at : at + len(ids)] = number
                # The label of an input is the next token; the last one's belongs to the next pair and never counts.
                self._counted[row, at : at + len(ids) - 1] = mask[1:]
                at += len(ids)

    @property
    def rows(self) -> int:
        """Rows an epoch."""
        return len(self._ids)

    def take(self, first: int, count: int) -> Batch:
        """See :class:`Rows`."""
        picked = np.array([self._pick(first + offset) for offset in range(count)])
        return Batch(self._ids[picked], self._segments[picked], self._counted[picked], packed=True)

    def _pick(self, position: int) -> int:
        epoch, offset = divmod(position, self.rows)
        if epoch != self._epoch:
            self._order = np.random.default_rng([self._seed, epoch]).permutation(self.rows)
            self._epoch = epoch
        return int(self._order[offset])


class Mixed:
    """New rows with old ones spread evenly among them: after n rows, ``floor(n * share)`` were old.

    Args:
        new: rows of the new data.
        old: rows of old text, of the same length.
        share: of the rows that are old, from 0 to below 1.
    """

    def __init__(self, new: Rows, old: Rows, share: float) -> None:
        self._new, self._old, self._share = new, old, share

    def is_old(self, position: int) -> bool:
        """Whether the row at a position is old text."""
        return self._olds(position + 1) > self._olds(position)

    def take(self, first: int, count: int) -> Batch:
        """See :class:`Rows`."""
        olds = [self.is_old(first + offset) for offset in range(count)]
        before = self._olds(first)
        parts = []
        if count - sum(olds):
            parts.append(self._new.take(first - before, count - sum(olds)))
        if sum(olds):
            parts.append(self._old.take(before, sum(olds)))
        if len(parts) == 1:
            return parts[0]
        # Rows of one batch share one gradient: their order in it does not matter.
        ids, segments, counted = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "segments", "counted")
        )
        return Batch(ids, segments, counted, any(part.packed for part in parts))

    def _olds(self, count: int) -> int:
        return int(count * self._share + 1e-9)
