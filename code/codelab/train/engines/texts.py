"""Prompts and pairs of exactly the wanted number of tokens, cut from real tasks and programs. Needs no torch.

Cost depends on shapes, so all sides get the same ones: a prompt is the text of several tasks, one after another, cut to
length; a pair is such a prompt with two reference solutions, the longer of which ends at the wanted length. Nothing
about quality can be read off them. Not covered: what is asked when quality counts (``codelab.tasks.prompts``).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice

from codelab.errors import UserError
from codelab.models.generation import Prompt

Encode = Callable[[str], list[int]]


class Stream:
    """Token ids of task after task, from the first one again at the end; two calls never begin alike.

    Args:
        texts: at least one.
        encode: text to token ids.

    Raises:
        UserError: no tokens.
    """

    def __init__(self, texts: Sequence[str], encode: Encode) -> None:
        encoded = [ids for ids in map(encode, texts) if ids]
        if not encoded:
            raise UserError("questions: no text to cut prompts from")
        self._encoded, self._next = encoded, 0

    def take(self, tokens: int) -> list[int]:
        """The next so many token ids, beginning with the next task."""
        made: list[int] = []
        start = self._next
        self._next += 1
        while len(made) < tokens:
            made += self._encoded[start % len(self._encoded)]
            start += 1
        return made[:tokens]


def prompts(stream: Stream, count: int, tokens: int, name: str) -> list[Prompt]:
    """``count`` prompts of exactly ``tokens`` tokens."""
    return [Prompt(f"{name}-{i}", ids=tuple(stream.take(tokens))) for i in range(count)]


def pairs(
    stream: Stream, programs: Sequence[list[int]], end: int, length: int, count: int
) -> list[dict[str, list[int]]]:
    """Rows of trl's columns in which the longer side is exactly ``length`` tokens.

    Args:
        stream: what prompts are cut from.
        programs: token ids of solutions, chosen and rejected in turn, neighbours against one another.
        end: token that ends a completion.
        length: tokens of prompt and longer completion together.
        count: rows.

    Raises:
        UserError: no two solutions are short enough.
    """
    room = length - 1
    fitting = [ids for ids in programs if 0 < len(ids) < room]
    if len(fitting) < 2:
        raise UserError(f"lengths: {length} tokens leave no room for a prompt and two solutions")
    rows = []
    for chosen, rejected in islice(_neighbours(fitting), count):
        head = stream.take(room - max(len(chosen), len(rejected)))
        rows.append({"prompt_ids": head, "chosen_ids": [*chosen, end], "rejected_ids": [*rejected, end]})
    return rows


def _neighbours(programs: Sequence[list[int]]) -> Iterator[tuple[list[int], list[int]]]:
    order = cycle(programs)
    current = next(order)
    while True:
        following = next(order)
        yield current, following
        current = following
