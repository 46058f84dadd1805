"""What a chapter says in words about its records, held against the numbers whenever the chapter is executed.

A number in a chapter comes from a record; an order ("fp16 is fastest") is prose, and a later record may contradict it.
So a chapter has a cell that shows nothing and repeats such words next to the numbers they are about::

    claims.falling("fp16 is fastest", run.number("fp16.rate"), run.number("nf4.rate"))

A claim that does not hold is an error, so that the chapter cannot be frozen on that record; ``codelab check`` and the
tests execute these cells too, and find words that the chapter no longer says. Not covered: sentences that nobody
claimed.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from codelab.errors import UserError
from codelab.records import Metric


def holds(words: str, fact: bool, seen: str = "it is not so") -> None:
    """Hold words of the chapter against a fact.

    Args:
        words: as the chapter says them.
        fact: whether the record bears them out.
        seen: what the record says instead, for the error.

    Raises:
        UserError: it does not.
    """
    if not fact:
        raise UserError(f"claim {words!r}: the record says otherwise: {seen}")


def falling(words: str, *values: float) -> None:
    """Each value is larger than the one after it.

    Raises:
        UserError: one is not.
    """
    shown = ", ".join(f"{value:.4g}" for value in values)
    holds(words, len(values) > 1 and all(left > right for left, right in pairwise(values)), f"{shown} do not fall")


def order(words: str, cells: Mapping[str, float] | Iterable[Mapping[str, float]], *groups: tuple[str, ...]) -> None:
    """Every value of a group is larger than every value of the next group, in each cell alone.

    Args:
        words: as the chapter says them.
        cells: values by name; several mappings where the order is to hold in each.
        groups: names, the largest values first.

    Raises:
        UserError: a value is out of order, or there is no cell.
    """
    seen = [cells] if isinstance(cells, Mapping) else list(cells)
    holds(words, bool(seen), "there is no such cell")
    for cell in seen:
        for large, small in pairwise(groups):
            low, high = min(large, key=lambda name: cell[name]), max(small, key=lambda name: cell[name])
            found = f"{low} {cell[low]:.4g}, {high} {cell[high]:.4g}"
            holds(words, cell[low] > cell[high], found)


def apart(words: str, one: Metric, other: Metric) -> None:
    """The intervals of two metrics have no value in common.

    Raises:
        UserError: they overlap, or a metric has no interval.
    """
    low, high = sorted((one, other), key=lambda metric: metric.value)
    if low.high is None or high.low is None:
        raise UserError(f"claim {words!r}: a metric has no interval")
    seen = f"{low.value:.4g} reaches up to {low.high:.4g}, {high.value:.4g} down to {high.low:.4g}"
    holds(words, low.high < high.low, seen)


def overlap(words: str, *metrics: Metric) -> None:
    """The intervals of the first metric and of each other one have values in common.

    Raises:
        UserError: two do not, or a metric has no interval.
    """
    first, *others = metrics
    for other in others:
        if first.low is None or first.high is None or other.low is None or other.high is None:
            raise UserError(f"claim {words!r}: a metric has no interval")
        seen = f"{first.low:.4g} to {first.high:.4g} and {other.low:.4g} to {other.high:.4g}"
        holds(words, first.low <= other.high and other.low <= first.high, f"{seen} have nothing in common")


def near(words: str, value: float, target: float, within: float) -> None:
    """A value is what round words say: "a fifth".

    Raises:
        UserError: it is further than ``within`` from the target.
    """
    holds(words, abs(value - target) <= within, f"{value:.4g} is not {target:.4g} ± {within:.4g}")
