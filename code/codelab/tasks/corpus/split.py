"""The frozen rules that say which file is held out and in which order files stand.

Both are hashes of repository and path, so that they depend neither on the other files nor on the machine. Held-out
files come from the same repositories as training files: bits per byte on them measure fit to this kind of code, not to
unknown projects.
"""

import hashlib

HELD_OUT = 0.005
"""Share of files that are held out."""

_SCALE = float(1 << 64)


def is_held_out(repo: str, path: str) -> bool:
    """Whether a file belongs to the held-out part."""
    return fraction("held out 1", repo, path) < HELD_OUT


def rank(repo: str, path: str) -> float:
    """Where in the corpus a file stands, from 0 to 1: a shuffle that never changes."""
    return fraction("order 1", repo, path)


def fraction(salt: str, repo: str, path: str) -> float:
    """A number from 0 to 1 that a salt, a source and a path alone decide."""
    digest = hashlib.sha256(f"{salt}\0{repo}\0{path}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / _SCALE
