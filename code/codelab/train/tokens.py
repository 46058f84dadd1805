"""Packed training rows out of tokenised shards, in an order that depends on the seed alone.

A token folder holds ``meta.json`` and flat ``uint16`` files (little endian); documents follow one another with an
end-of-text token between them. A row is ``length + 1`` consecutive tokens, so that labels are inputs shifted by one;
rows do not overlap except for that one token. Attention is not cut at document borders. Not covered: making the
shards (``codelab.tasks.corpus``).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codelab.errors import UserError

Tokens = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Shards:
    """One split of a token folder, memory-mapped.

    Attributes:
        arrays: one flat array a file.
        text_bytes: UTF-8 bytes of the text behind the tokens, for losses in bits per byte.
    """

    arrays: tuple[Tokens, ...]
    text_bytes: int

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return sum(len(array) for array in self.arrays)

    def row_starts(self, length: int) -> npt.NDArray[np.int64]:
        """Shape (rows, 2): file index and first token of every row of ``length`` inputs."""
        starts = [
            np.stack([np.full(count, index), np.arange(count) * length], axis=1)
            for index, array in enumerate(self.arrays)
            if (count := (len(array) - 1) // length) > 0
        ]
        return np.concatenate(starts).astype(np.int64) if starts else np.empty((0, 2), np.int64)

    def rows(self, starts: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
        """Shape (len(starts), length + 1): the tokens of some rows."""
        return np.stack([self.arrays[index][begin : begin + length + 1].astype(np.int64) for index, begin in starts])

    def some_rows(self, length: int, count: int, spread: bool = False) -> npt.NDArray[np.int64]:
        """``count`` rows (or all there are), shape (rows, length + 1).

        Args:
            length: inputs a row.
            count: rows wanted.
            spread: evenly over all the text instead of the first ones, so that few rows are not of one document.

        Raises:
            UserError: fewer than two, from which no spread can be had.
        """
        starts = self.row_starts(length)
        count = min(count, len(starts))
        starts = starts[np.arange(count) * len(starts) // max(1, count)] if spread else starts[:count]
        if len(starts) < 2:
            raise UserError(f"held-out tokens: {self.tokens}, expected at least two rows of {length} + 1")
        return self.rows(starts, length)


@dataclass(frozen=True)
class TokenFolder:
    """A tokenised corpus: ``train`` and ``heldout`` shards and the facts of ``meta.json``."""

    train: Shards
    heldout: Shards
    vocabulary: int
    meta: dict[str, Any]


def open_tokens(folder: Path) -> TokenFolder:
    """Open a token folder.

    Raises:
        UserError: the folder, its ``meta.json`` or one of its files is missing or shorter than it says.
    """
    path = folder / "meta.json"
    try:
        meta = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read; make it with: codelab corpus tokenize") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error
    return TokenFolder(_open(folder, meta, "train"), _open(folder, meta, "heldout"), int(meta["vocab_size"]), meta)


def _open(folder: Path, meta: dict[str, Any], split: str) -> Shards:
    arrays = []
    try:
        files, text_bytes = meta["splits"][split]["files"], int(meta["splits"][split]["bytes"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / 'meta.json'}: splits.{split}: expected files and bytes") from error
    for entry in files:
        path = folder / entry["file"]
        if not path.exists() or path.stat().st_size != 2 * entry["tokens"]:
            raise UserError(f"{path}: expected {entry['tokens']} tokens of two bytes")
        arrays.append(np.memmap(path, dtype="<u2", mode="r"))
    return Shards(tuple(arrays), text_bytes)


class RowOrder:
    """Batches of rows, epoch after epoch, each epoch in a new order drawn from ``seed`` and the epoch's number.

    Args:
        shards: the split.
        length: inputs a row.
        seed: of the order.

    Raises:
        UserError: the split is shorter than one row.
    """

    def __init__(self, shards: Shards, length: int, seed: int) -> None:
        self._shards = shards
        self._length = length
        self._seed = seed
        self._starts = shards.row_starts(length)
        if len(self._starts) == 0:
            raise UserError(f"token shards: {shards.tokens} tokens are less than one row of {length} + 1")
        self._epoch = -1
        self._permutation = np.empty(0, np.int64)

    @property
    def rows(self) -> int:
        """Rows an epoch."""
        return len(self._starts)

    def batch(self, first: int, count: int) -> npt.NDArray[np.int64]:
        """Rows ``first`` to ``first + count`` of the endless sequence, shape (count, length + 1)."""
        return self._shards.rows(np.stack([self._start(first + offset) for offset in range(count)]), self._length)

    def _start(self, position: int) -> npt.NDArray[np.int64]:
        epoch, offset = divmod(position, len(self._starts))
        if epoch != self._epoch:
            self._permutation = np.random.default_rng([self._seed, epoch]).permutation(len(self._starts))
            self._epoch = epoch
        start: npt.NDArray[np.int64] = self._starts[self._permutation[offset]]
        return start
