"""Near duplicates: MinHash signatures of five-token shingles and a search for the first file of each family.

MinHash and its banded index are datasketch's; only the shingling is ours, because hashing shingles one by one in Python
would take most of the build (windows are hashed as arrays instead). Similarity is Jaccard's, of the sets of shingles of
code tokens, so comments, docstrings and layout do not count. Not covered: a short file inside a long one.
"""

import base64
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from codelab.tasks.corpus.lexing import hash_tokens, window_hashes

SHINGLE = 5
PERMUTATIONS = 128
THRESHOLD = 0.80
SEED = 1
SCHEME: Literal["affine32"] = "affine32"

Signature = npt.NDArray[np.uint32]


def _identity(value: int) -> int:
    return value


def signature(tokens: list[str]) -> Signature:
    """MinHash signature of a token list, shape ``(PERMUTATIONS,)``."""
    from datasketch import MinHash  # noqa: PLC0415 - heavy, and needed by the builder alone

    windows = window_hashes(hash_tokens(tokens), min(SHINGLE, max(1, len(tokens))))
    shingles = np.unique((windows >> np.uint64(32)).astype(np.uint32)).astype(np.uint64)
    minhash = MinHash(num_perm=PERMUTATIONS, seed=SEED, hashfunc=_identity, permutations=_permutations(), scheme=SCHEME)
    minhash.update_batch(shingles.tolist())
    return np.asarray(minhash.hashvalues, dtype=np.uint32)


def pack(values: Signature) -> str:
    """A signature as text."""
    return base64.b85encode(values.astype("<u4").tobytes()).decode()


def unpack(text: str) -> Signature:
    """The reverse of :func:`pack`."""
    return np.frombuffer(base64.b85decode(text), dtype="<u4").astype(np.uint32)


def first_of_each(signatures: Iterable[tuple[int, Signature]], threshold: float = THRESHOLD) -> dict[int, int]:
    """Find near duplicates of earlier files.

    Args:
        signatures: pairs of a file's number and its signature; of two similar files the one that comes first stays.
        threshold: share of equal entries (the estimate of Jaccard similarity) from which files count as the same.

    Returns:
        The number of each dropped file, mapped to that of the kept file it resembles most.
    """
    from datasketch import MinHash, MinHashLSH  # noqa: PLC0415 - heavy, and needed by the builder alone

    # Candidates are sought a little below the threshold, because banding misses some pairs right at it.
    index = MinHashLSH(threshold=threshold - 0.05, num_perm=PERMUTATIONS)
    kept: dict[int, Signature] = {}
    dropped: dict[int, int] = {}
    for number, values in signatures:
        minhash = MinHash(seed=SEED, hashvalues=values, permutations=_permutations(), scheme=SCHEME)
        best, best_share = -1, threshold
        for candidate in sorted(index.query(minhash)):
            share = float(np.mean(kept[candidate] == values))
            if share >= best_share:
                best, best_share = candidate, share + 1e-9
        if best >= 0:
            dropped[number] = best
        else:
            kept[number] = values
            index.insert(number, minhash, check_duplication=False)
    return dropped


@lru_cache(maxsize=1)
def _permutations() -> Any:
    """The permutations of the seed, made once a process: making them anew for each file would dominate."""
    from datasketch import MinHash  # noqa: PLC0415 - heavy, and needed by the builder alone

    return MinHash(num_perm=PERMUTATIONS, seed=SEED, scheme=SCHEME).permutations
