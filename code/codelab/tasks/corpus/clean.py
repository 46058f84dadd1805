"""Removes what the detector found: the function from a file of group a, the whole file from group b.

Where only the structure of a solution was recognised, the function alone goes in group b too, since that rule is the
one most often right by accident. Not covered: comments above a removed function, and callers of it, which stay.
"""

from collections import Counter
from dataclasses import dataclass

from codelab.tasks.corpus import filters
from codelab.tasks.corpus.contamination import Detector, Function, Hit, functions
from codelab.tasks.corpus.lexing import lex

ROUNDS = 5


@dataclass(frozen=True)
class Cleaned:
    """What became of a file.

    Attributes:
        text: what is left; None when the file goes.
        hits: everything found in the file as it was.
        cut: how many functions were cut out of the text that is left.
    """

    text: str | None
    hits: tuple[Hit, ...]
    cut: int


def clean(text: str, group: str, detector: Detector) -> Cleaned:
    """Decontaminate one file of group ``a`` or ``b``."""
    hits = first_hits = tuple(detector.find(text))
    cut = 0
    for _ in range(ROUNDS):
        if not hits:
            return Cleaned(text, first_hits, cut)
        if group == "b" and any(hit.rule != "structure" for hit in hits):
            return Cleaned(None, first_hits, 0)
        touched = _touched(hits, _outermost(functions(text)))
        if touched is None:
            return Cleaned(None, first_hits, 0)
        text = _without(text, touched)
        cut += len(touched)
        if not filters.parses(text):
            return Cleaned(None, first_hits, 0)
        lexed = lex(text)
        if filters.judge_tokens(lexed) is not None:
            return Cleaned(None, first_hits, 0)
        hits = tuple(detector.find(text, lexed))
    return Cleaned(None, first_hits, 0)


def tally(results: list[Cleaned]) -> dict[str, Counter[str]]:
    """Counts for the data card: ``files_hit`` and ``files_dropped`` by rule, and ``problems`` found, by key."""
    counts: dict[str, Counter[str]] = {"files_hit": Counter(), "files_dropped": Counter(), "problems": Counter()}
    for result in results:
        rules = {hit.rule for hit in result.hits}
        counts["files_hit"].update(rules)
        counts["problems"].update({hit.problem for hit in result.hits})
        if result.text is None:
            counts["files_dropped"].update(rules)
    return counts


def _outermost(spans: list[Function]) -> list[Function]:
    """Functions that stand in no other function; ``spans`` come sorted by first line, the longer first."""
    result: list[Function] = []
    for function in spans:
        if not result or function.last > result[-1].last:
            result.append(function)
    return result


def _touched(hits: tuple[Hit, ...], spans: list[Function]) -> list[Function] | None:
    """The functions to cut, or None when a hit stands in none."""
    found: set[int] = set()
    for hit in hits:
        inside = [i for i, function in enumerate(spans) if function.first <= hit.last and hit.first <= function.last]
        if not inside:
            return None
        found.update(inside)
    return [spans[i] for i in sorted(found)]


def _without(text: str, spans: list[Function]) -> str:
    lines = text.split("\n")
    for function in reversed(spans):
        del lines[function.first - 1 : function.last]
    return "\n".join(lines).strip("\n") + "\n"
