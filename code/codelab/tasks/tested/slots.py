"""What is known of a parameter or a part of it from the code that uses it.

Not covered: reading the code (``codelab.tasks.tested.uses``) and what follows from it (``codelab.tasks.tested.kinds``).
"""

from collections import Counter
from typing import Any


class Slot:
    """What is known of a parameter or a part of it; parts come into being when they are asked for.

    Attributes:
        votes: how often the code used it as what.
        whole: constants that it is compared with.
        inside: texts that are looked for in it.
        patterns: regular expressions that it is matched with.
        fields: by constant key.
        places: of each element, where a loop takes elements apart.
        taken_apart: its own places, where an assignment takes it apart.
        reach: one more than the largest constant that it is indexed with.
        alias: the first name that a loop or an assignment gives it.
        foreign: it is called, or attributes are read that no plain value has.
    """

    def __init__(self) -> None:
        self.votes: Counter[str] = Counter()
        self.whole: list[Any] = []
        self.inside: list[str] = []
        self.patterns: list[str] = []
        self.fields: dict[str, Slot] = {}
        self.reach = 0
        self.alias = ""
        self.foreign = False
        self.places: list[Slot] = []
        self.taken_apart: list[Slot] = []
        self._parts: dict[str, Slot] = {}

    def has(self, part: str) -> bool:
        """Whether the code reaches into that part: ``element``, ``key``, ``value`` or ``places``."""
        return bool(self.places) if part == "places" else part in self._parts

    @property
    def element(self) -> "Slot":
        """Any of its elements."""
        return self._parts.setdefault("element", Slot())

    @property
    def key(self) -> "Slot":
        """Any of its keys."""
        return self._parts.setdefault("key", Slot())

    @property
    def value(self) -> "Slot":
        """Any of its values."""
        return self._parts.setdefault("value", Slot())

    @property
    def known(self) -> bool:
        """Whether anything says what it is."""
        return bool(self.taken_apart or self.votes or self.fields or self.places or self.foreign)

    @property
    def element_known(self) -> bool:
        """Whether anything says what its elements are."""
        return bool(self.places) or ("element" in self._parts and self.element.known)

    def unpacked(self, size: int) -> "list[Slot]":
        """The places of each element, which is taken apart into so many."""
        while len(self.places) < size:
            self.places.append(Slot())
        return self.places[:size]
