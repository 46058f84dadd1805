"""An index of windows of the reference solutions, and the search for stretches of a text that cover enough of one.

Not covered: what a window's hash is made of; the caller decides, here by tokens as they are or blind to names.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from codelab.tasks.corpus.lexing import Hashes


@dataclass
class Windows:
    """Hashes of windows of the reference solutions, and where each stands; filled, closed, then searched.

    Attributes:
        width: tokens a window.
        share: how much of a solution's tokens the windows found must cover.
        places: window to the solutions' numbers and the positions of the window in them.
        sizes: solution to its number of tokens.
        known: all windows, sorted, once closed.
    """

    width: int
    share: float
    places: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    sizes: dict[int, int] = field(default_factory=dict)
    known: Hashes = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def add(self, number: int, windows: Hashes, size: int) -> None:
        """Take in the windows of solution ``number``, which has ``size`` tokens."""
        self.sizes[number] = size
        for position, value in enumerate(windows.tolist()):
            self.places[value].append((number, position))

    def close(self) -> None:
        """Make the windows searchable; to be called once, after the last :meth:`add`."""
        self.known = np.sort(np.fromiter(self.places, dtype=np.uint64, count=len(self.places)))

    def found(self, windows: Hashes) -> Iterable[tuple[int, int, int]]:
        """Problem number, first and last window position, for each stretch that covers enough of a solution."""
        if not len(windows) or not len(self.known):
            return
        slots = np.minimum(np.searchsorted(self.known, windows), len(self.known) - 1)
        by_problem: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for position in np.flatnonzero(self.known[slots] == windows).tolist():
            for number, place in self.places[int(windows[position])]:
                by_problem[number].append((position, place))
        for number, pairs in by_problem.items():
            if _coverage((place for _, place in pairs), self.width) < self.share * self.sizes[number]:
                continue
            yield from self._stretches(number, pairs)

    def _stretches(self, number: int, pairs: list[tuple[int, int]]) -> Iterable[tuple[int, int, int]]:
        reach = 2 * self.sizes[number] + self.width
        done = -1
        for start, (first, _) in enumerate(pairs):
            if first <= done:
                continue
            inside = [pair for pair in pairs[start:] if pair[0] <= first + reach]
            if _coverage((place for _, place in inside), self.width) >= self.share * self.sizes[number]:
                done = inside[-1][0]
                yield number, first, done


def _coverage(places: Iterable[int], width: int) -> int:
    """How many tokens the windows that start at these places cover."""
    covered, end = 0, 0
    for place in sorted(set(places)):
        covered += place + width - max(place, end)
        end = place + width
    return covered
