"""A progress bar on a terminal, one log line a step everywhere else; always on stderr."""

import sys
import time
from types import TracebackType
from typing import Any


class Progress:
    """Counts what is done; use it in a ``with`` statement.

    Args:
        title: what is done.
        total: how many.
    """

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0
        self._began = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        """Show the bar, on a terminal."""
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
            from rich.progress import Progress as Bar  # noqa: PLC0415

            columns = (
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            )  # fmt: skip
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, steps: int, what: str) -> None:
        """Count steps; ``what`` names the part at work."""
        self.done += steps
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, description=f"{self.title} {what}")
            return
        spent = time.monotonic() - self._began
        print(f"{self.title}: {what}: {self.done}/{self.total} after {spent:.0f} s", file=sys.stderr, flush=True)
