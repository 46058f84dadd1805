"""A quick lexer for Python source: code tokens without comments, docstrings and layout, each with its line.

It works by one regular expression, about ten times as fast as the standard ``tokenize``, and never fails: text that
is not Python gives odd tokens. Indentation and line breaks leave no token, so reformatted code lexes alike. Not
covered: quotes of the same kind nested inside an f-string (Python 3.12), which end the string early.
"""

import keyword
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_TOKEN = re.compile(
    r"""\\\r?\n|\n|\#[^\n]*"""
    r"""|[rRbBuUfF]{0,2}(?:\"\"\"(?:[^\\]|\\.)*?(?:\"\"\"|\Z)|'''(?:[^\\]|\\.)*?(?:'''|\Z)"""
    r"""|"(?:[^"\\\n]|\\.)*(?:"|(?=\n)|\Z)|'(?:[^'\\\n]|\\.)*(?:'|(?=\n)|\Z))"""
    r"""|\d[\w.]*|\w+|->|:=|\.\.\.|\*\*=?|//=?|>>=?|<<=?|[-+*/%@&|^=<>!]=?|[^\s\w]""",
    re.DOTALL,
)
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")
_ODD = np.uint64(0x9E3779B97F4A7C15)
KEYWORDS = frozenset(keyword.kwlist)


@dataclass(frozen=True)
class Lexed:
    """Code tokens of a text.

    Attributes:
        tokens: the tokens; a string literal is written with single quotes whatever it had.
        lines: the line of each token, from 1.
        literal: how many characters of the tokens are string or number literals.
        longest: length of the longest string literal, in characters.
    """

    tokens: list[str]
    lines: list[int]
    literal: int
    longest: int


def lex(text: str) -> Lexed:
    """Lex a text; comments, docstrings (strings that are a statement of their own) and layout leave no token."""
    tokens: list[str] = []
    offsets: list[int] = []
    depth = literal = longest = 0
    fresh = True  # nothing of this statement seen yet
    held: tuple[str, int] | None = None  # a string that began a statement: a docstring if the statement ends after it
    for match in _TOKEN.finditer(text):
        token = match.group()
        first = token[0]
        if first == "\n":
            if depth == 0:
                fresh, held = True, None
            continue
        if first in "#\\":
            continue
        if held is not None:
            tokens.append(held[0])
            offsets.append(held[1])
            literal += len(held[0])
            longest = max(longest, len(held[0]))
            held = None
        if first in "'\"" or (token[-1] in "'\"" and len(token) > 1):
            token = _plain_string(token)
            if fresh and depth == 0:
                held, fresh = (token, match.start()), False
                continue
            literal += len(token)
            longest = max(longest, len(token))
        elif first.isdigit():
            literal += len(token)
        elif first in _OPEN:
            depth += 1
        elif first in _CLOSE:
            depth = max(0, depth - 1)
        fresh = token in {";", ":"} and depth == 0
        tokens.append(token)
        offsets.append(match.start())
    breaks = np.fromiter((m.start() for m in re.finditer("\n", text)), dtype=np.int64)
    lines = (np.searchsorted(breaks, np.asarray(offsets, dtype=np.int64)) + 1).tolist()
    return Lexed(tokens, lines, literal, longest)


def _plain_string(token: str) -> str:
    body = token.lstrip("rRbBuUfF")
    width = 3 if body[:3] in {'"""', "'''"} else 1
    return f"'{body[width:-width]}'"


@lru_cache(maxsize=1 << 18)
def token_hash(token: str) -> int:
    """A 64-bit hash of a token that is the same in every process."""
    data = token.encode("utf-8", "surrogatepass")
    return zlib.crc32(data) << 32 | zlib.crc32(data, 0x5BD1E995)


def hash_tokens(tokens: list[str]) -> Hashes:
    """The hash of each token, shape ``(n,)``."""
    return np.fromiter(map(token_hash, tokens), dtype=np.uint64, count=len(tokens))


def window_hashes(hashes: Hashes, width: int) -> Hashes:
    """A hash of every window of ``width`` consecutive entries, shape ``(max(0, n - width + 1),)``."""
    count = len(hashes) - width + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    total = np.zeros(count, dtype=np.uint64)
    for index in range(width):
        total = total * _ODD + hashes[index : index + count]
    return mix(total)


def mix(values: Hashes) -> Hashes:
    """Spread the bits of 64-bit values (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def is_name(token: str) -> bool:
    """Whether a token is an identifier and no keyword."""
    return token.isidentifier() and token not in KEYWORDS
