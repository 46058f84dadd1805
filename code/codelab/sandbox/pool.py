"""The parent: hands samples to fork servers, reads their answers and judges them."""

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Literal

from codelab.sandbox.types import Limits, Report, Sample, Verdict


class Pool:
    """Fork servers kept warm between batches (GRPO rewards); use it in a ``with`` statement.

    Args:
        workers: servers; None for one a core.
        limits: for all samples, or by task id (from ``calibrate``).
    """

    def __init__(self, workers: int | None = None, limits: Limits | Mapping[int, Limits] | None = None) -> None:
        raise NotImplementedError

    report: Report

    def __enter__(self) -> "Pool":
        """Start the servers."""
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the servers and everything below them."""
        raise NotImplementedError

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Verdicts in the order in which they are reached; one for every sample, found again by its key.

        Raises:
            UserError: a test cannot be split into calls and a judgement, or two samples have the same key.
        """
        raise NotImplementedError


def judge(
    samples: Iterable[Sample],
    *,
    workers: int | None = None,
    limits: Limits | Mapping[int, Limits] | None = None,
    executor: Literal["local", "ray"] = "local",
    report: Report | None = None,
) -> Iterator[Verdict]:
    """Judge a batch with a pool of its own.

    Args:
        samples: what to run; consumed lazily.
        workers: servers (local) or Ray workers; None for one a core.
        limits: for all samples, or by task id.
        executor: ``ray`` spreads the work over a Ray cluster.
        report: filled with counts and with what the kernel refused.
    """
    raise NotImplementedError
