"""What evaluation needs of a run: a place for samples, and one for numbers.

A :class:`~codelab.records.Run` is both. An experiment that evaluates several models in one run gives each a place of
its own (``codelab.train.shelf``). Not covered: how either is kept.
"""

from typing import Any, Literal, Protocol


class Store(Protocol):
    """Rows of samples and of finished chunks that survive a kill, and the time that is left."""

    def time_is_up(self, reserve: float = 0.0) -> bool:
        """Whether the allowed time ends within ``reserve`` seconds."""

    def step(self, **values: float | int | str) -> None:
        """Append one finished chunk."""

    def sample(self, **values: Any) -> None:
        """Append one sample."""

    def steps_so_far(self) -> list[dict[str, Any]]:
        """Chunks already written."""

    def samples_so_far(self) -> list[dict[str, Any]]:
        """Samples already written."""

    def truncate(self, name: Literal["steps", "samples"], keep: int) -> None:
        """Drop all but the first ``keep`` rows."""


class Sink(Protocol):
    """Metrics and tables."""

    def metric(self, name: str, value: float, **more: Any) -> None:
        """Add one metric."""

    def table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Add one table."""
