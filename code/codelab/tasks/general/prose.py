"""Which paragraphs are English prose, and which sentences of two texts are the same.

Rules of thumb on words and characters, every threshold a constant of this module and part of the data card. Not
covered: grammar, and prose in other languages that happens to pass (the common words are English ones).
"""

import re

from codelab.tasks.corpus.lexing import Hashes, hash_tokens, window_hashes

LEAST_WORDS = 8
LEAST_LETTERS = 0.92
"""Share of letters, spaces and plain punctuation among a paragraph's characters."""
LEAST_COMMON = 0.22
"""Share of :data:`COMMON` words among a paragraph's words."""
MOST_WORD = 24
LEAST_DOCUMENT = 400
"""Characters of prose from which a document is kept."""
WINDOW = 13
"""Words of a window by which text is the same; the width that Brown et al. 2020 (arXiv:2005.14165) use for overlaps."""

COMMON = frozenset(
    [
        "a",
        "about",
        "all",
        "also",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "do",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "him",
        "his",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "more",
        "most",
        "must",
        "no",
        "not",
        "of",
        "on",
        "one",
        "only",
        "or",
        "other",
        "she",
        "should",
        "so",
        "some",
        "such",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "up",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
_PLAIN = re.compile(r"[A-Za-z ,.;:'’“”\"!?()\-–—]")
_WORD = re.compile(r"[a-z]+(?:['’][a-z]+)?", re.I)
_END = re.compile(r"[.!?:][\"'”’)]*$")


def is_prose(text: str) -> bool:
    """Whether a paragraph, on one line, reads as English sentences."""
    words = [word.lower() for word in _WORD.findall(text)]
    if len(words) < LEAST_WORDS or not _END.search(text) or max(map(len, text.split())) > MOST_WORD:
        return False
    if len(_PLAIN.findall(text)) < LEAST_LETTERS * len(text):
        return False
    return sum(word in COMMON for word in words) >= LEAST_COMMON * len(words)


def windows(text: str) -> Hashes:
    """A hash of every window of :data:`WINDOW` words of a text, lower case and without punctuation."""
    return window_hashes(hash_tokens([word.lower() for word in _WORD.findall(text)]), WINDOW)


def words(text: str) -> list[str]:
    """Lower-case words, for near-duplicate search."""
    return [word.lower() for word in _WORD.findall(text)]
