"""The sandbox over many machines: Ray carries chunks of samples to workers, each with fork servers of its own.

A chunk comes back whole or not at all; one whose worker died is sent again, so nothing is lost, and a verdict is given
once however often its chunk ran. Not covered: starting a cluster (``ray start``); without one, a local Ray is started
for the batch and stopped after it.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.sandbox.pool import Pool, cores
from codelab.sandbox.types import Limits, Report, Sample, Verdict

CHUNK = 32
_ATTEMPTS = 3
_pool: Pool | None = None


@dataclass
class _Chunk:
    samples: list[Sample]
    limits: Limits | dict[int, Limits]
    attempts: int = 0


def judge_chunk(samples: list[Sample], limits: Limits | dict[int, Limits]) -> tuple[list[Verdict], Report]:
    """What a Ray worker does: judge one chunk with the fork server that it keeps."""
    global _pool  # noqa: PLW0603 - a worker process serves many chunks; starting a server for each would double the time
    if _pool is None:
        _pool = Pool(1).__enter__()
    _pool.report = Report(_pool.report.granted, _pool.report.refused)
    _pool.limits = limits
    return list(_pool.judge(samples)), _pool.report


def judge_on_ray(
    samples: Iterable[Sample],
    *,
    workers: int | None = None,
    limits: Limits | Mapping[int, Limits] | None = None,
    report: Report | None = None,
    chunk: int = CHUNK,
) -> Iterator[Verdict]:
    """Judge a batch on a Ray cluster, or on a local Ray started for it.

    Args:
        samples: what to run.
        workers: chunks in work at a time; None for every CPU of the cluster.
        limits: for all samples, or by task id.
        report: filled with counts; ``restarts`` counts chunks sent again.
        chunk: samples a chunk.

    Raises:
        UserError: Ray is not installed, or two samples have the same key.
    """
    try:
        import ray  # noqa: PLC0415 - optional
    except ImportError as error:
        raise UserError("executor 'ray' needs the package ray") from error
    started = not ray.is_initialized()
    if started:
        ray.init(
            address=os.environ.get("RAY_ADDRESS") or "local",
            num_cpus=None if os.environ.get("RAY_ADDRESS") else workers or cores(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    try:
        counts = report if report is not None else Report()
        yield from _drive(ray, samples, workers=workers, limits=limits, report=counts, size=chunk)
    finally:
        if started:
            ray.shutdown()


def _drive(
    ray: Any,
    samples: Iterable[Sample],
    *,
    workers: int | None,
    limits: Limits | Mapping[int, Limits] | None,
    report: Report,
    size: int,
) -> Iterator[Verdict]:
    # The package's folder travels as a path, for a local Ray beside a checkout; a cluster has it installed.
    place = {"env_vars": {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}}
    remote = ray.remote(num_cpus=1, max_retries=0, runtime_env=place)(judge_chunk)
    most = 2 * (workers or max(1, int(ray.cluster_resources().get("CPU", 1))))
    waiting: deque[_Chunk] = deque()
    source = _chunks(samples, limits, size)
    running: dict[Any, _Chunk] = {}
    given: set[tuple[int, int]] = set()
    while True:
        while len(running) < most and (work := waiting.popleft() if waiting else next(source, None)):
            running[remote.remote(work.samples, work.limits)] = work
        if not running:
            return
        done, _ = ray.wait(list(running), num_returns=1)
        work = running.pop(done[0])
        try:
            verdicts, part = ray.get(done[0])
        except (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.ObjectLostError,
        ) as error:
            report.restarts += 1
            verdicts, part = [], Report()
            work.attempts += 1
            if work.attempts < _ATTEMPTS:
                waiting.append(work)
            else:
                why = type(error).__name__
                verdicts = [Verdict(*sample.key, False, "sandbox_error", why) for sample in work.samples]
        _add(report, part)
        for verdict in verdicts:
            key = (verdict.task_id, verdict.index)
            if key not in given:
                given.add(key)
                yield verdict


def _chunks(samples: Iterable[Sample], limits: Limits | Mapping[int, Limits] | None, size: int) -> Iterator[_Chunk]:
    source = iter(samples)
    seen: set[tuple[int, int]] = set()
    while part := list(islice(source, size)):
        for sample in part:
            if sample.key in seen:
                raise UserError(f"sandbox: two samples of task {sample.task.task_id} have the index {sample.index}")
            seen.add(sample.key)
        chosen: Limits | dict[int, Limits] = limits if isinstance(limits, Limits) else Limits()
        if isinstance(limits, Mapping):
            chosen = {sample.task.task_id: limits[sample.task.task_id] for sample in part}
        yield _Chunk(part, chosen)


def _add(report: Report, part: Report) -> None:
    report.granted = part.granted or report.granted
    report.refused |= part.refused
    for name in ("judged", "timeouts", "retried", "recovered", "restarts"):
        setattr(report, name, getattr(report, name) + getattr(part, name))
