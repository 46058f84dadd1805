"""The parent: hands samples to fork servers, reads their answers and judges them.

One thread and one selector. Each server has the next job waiting while one runs, so it is never idle. Expected values
live only in this process: a server is a fresh interpreter and gets programs and calls alone. Not covered: Ray
(``codelab.sandbox.cluster``).
"""

import json
import os
import selectors
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Literal, Self

from codelab.errors import UserError
from codelab.sandbox.clients import Client, Job, Reply, ServerLostError
from codelab.sandbox.plan import Plan, plan
from codelab.sandbox.types import Limits, Report, Sample, Verdict
from codelab.sandbox.verdicts import timed_out, verdict

_QUEUED = 2
_TICK_SECONDS = 0.02
_ATTEMPTS = 2
Retry = Literal["wall", "all", "none"]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


class Pool:
    """Fork servers kept warm between batches (GRPO rewards); use it in a ``with`` statement.

    Args:
        workers: servers; None for one a core.
        limits: for all samples, or by task id (from ``calibrate``); a task that is not named there gets the defaults.
        retry: which timeouts run again, alone: ``wall`` those that ran out of real time before their CPU time (other
            work may have kept the CPU from them; a program that used its whole CPU allowance would use it again),
            ``all``, or ``none``.
        skip: measures of isolation to leave out, separated by commas; for tests of what a kernel may refuse.
        hash_seed: of the servers' interpreters; verdicts are given under 0, another one shows what hangs on it.
    """

    def __init__(
        self,
        workers: int | None = None,
        limits: Limits | Mapping[int, Limits] | None = None,
        *,
        retry: Retry = "wall",
        skip: str = "",
        hash_seed: int = 0,
    ) -> None:
        self.workers = workers or cores()
        self.report = Report()
        self.limits = limits if limits is not None else Limits()
        self._retry = retry
        self._skip = skip
        self._hash_seed = hash_seed
        self._clients: list[Client] = []
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        """Start the servers.

        Raises:
            UserError: none starts.
        """
        try:
            for _ in range(self.workers):
                self._start()
        except ServerLostError as error:
            self.close()
            raise UserError(f"sandbox: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the servers and everything below them."""
        self.close()

    def close(self) -> None:
        """Stop the servers and everything below them."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._selector.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of the servers."""
        return [client.pid for client in self._clients]

    def judge(self, samples: Iterable[Sample]) -> Iterator[Verdict]:
        """Verdicts in the order in which they are reached; one for every sample, found again by its key.

        Raises:
            UserError: a test cannot be split into calls and a judgement, two samples have the same key, or no server
                can be started any more.
        """
        source = iter(self._jobs(samples))
        late: list[Job] = []
        again: deque[Job] = deque()
        try:
            yield from self._work(source, again, late, self._clients[:])
            self.report.retried += len(late)
            for job in late:
                # Alone: nothing else of this pool runs meanwhile.
                job.retried = True
                for outcome in self._work(iter([job]), again, [], self._clients[:1]):
                    self.report.recovered += outcome.failure != "timeout"
                    yield outcome
        finally:
            # A caller that stops early leaves nothing running.
            if any(client.jobs for client in self._clients):
                for client in self._clients[:]:
                    if client.jobs:
                        self._replace(client)

    def _jobs(self, samples: Iterable[Sample]) -> Iterator[Job]:
        seen: set[tuple[int, int]] = set()
        for sample in samples:
            if sample.key in seen:
                raise UserError(f"sandbox: two samples of task {sample.task.task_id} have the index {sample.index}")
            seen.add(sample.key)
            limits = self.limits if isinstance(self.limits, Limits) else self.limits.get(sample.task.task_id, Limits())
            program = json.dumps(sample.program)  # escaped, so that halves of characters travel too
            yield Job(sample, f'{{"program": {program}, "steps": {self._plan(sample).json}}}'.encode(), limits)

    def _work(
        self, source: Iterator[Job], again: deque[Job], late: list[Job], clients: list[Client]
    ) -> Iterator[Verdict]:
        exhausted = False
        idle = clients
        tick = 0.0
        while True:
            for client in idle:
                while len(client.jobs) < _QUEUED and not exhausted:
                    job = again.popleft() if again else next(source, None)
                    if job is None:
                        exhausted = True
                    else:
                        self._hand_over(client, job, again)
            running = [client for client in clients if client.jobs]
            if not running and not again and exhausted:
                return
            if again:
                exhausted = False
            idle = []
            for key, _ in self._selector.select(_TICK_SECONDS if running else 0):
                owner: Client = key.data
                try:
                    if (reply := owner.reply()) is not None:
                        idle.append(owner)
                        yield from self._finish(owner, reply, late)
                except ServerLostError as error:
                    fresh, lost = self._lose(owner, again, str(error))
                    clients = [fresh if client is owner else client for client in clients]
                    yield from lost
                    break
            if time.monotonic() >= tick:
                tick = time.monotonic() + _TICK_SECONDS
                for client in clients:
                    client.tend()
            idle = idle or ([client for client in clients if len(client.jobs) < _QUEUED] if again else [])

    def _hand_over(self, client: Client, job: Job, again: deque[Job]) -> None:
        try:
            client.send(job)
        except ServerLostError:
            again.append(job)  # the loop hears of the lost server through its socket
            return

    def _finish(self, client: Client, reply: Reply, late: list[Job]) -> Iterator[Verdict]:
        job = client.jobs.pop(0)
        job.drain()
        job.close()
        outcome = self._outcome(job, reply)
        if outcome.failure == "timeout" and not job.retried:
            self.report.timeouts += 1
            if self._retry == "all" or (self._retry == "wall" and timed_out(reply) == "wall"):
                late.append(job)
                return
        self.report.judged += 1
        yield outcome

    def _plan(self, sample: Sample) -> Plan:
        task = sample.task
        tests = (*task.tests, *task.challenge_tests) if sample.challenge else task.tests
        return plan(task.setup, tests, task.needed_names, f"task {task.task_id}")

    def _outcome(self, job: Job, reply: Reply) -> Verdict:
        return verdict(job, reply, self._plan(job.sample))

    def _start(self) -> Client:
        client = Client(self._skip, self._hash_seed)
        self._clients.append(client)
        self._selector.register(client.control, selectors.EVENT_READ, client)
        self.report.granted, self.report.refused = client.granted, client.refused
        return client

    def _replace(self, client: Client) -> Client:
        self._selector.unregister(client.control)
        self._clients.remove(client)
        client.close()
        return self._start()

    def _lose(self, client: Client, again: deque[Job], why: str) -> tuple[Client, list[Verdict]]:
        jobs = client.jobs[:]
        try:
            fresh = self._replace(client)
        except ServerLostError as error:
            raise UserError(f"sandbox: {error}") from error
        self.report.restarts += 1
        lost: list[Verdict] = []
        for number, job in enumerate(jobs):
            job.attempts += number == 0  # the ones behind it had not begun
            if job.attempts < _ATTEMPTS:
                again.append(job)
            else:
                self.report.judged += 1
                lost.append(Verdict(*job.sample.key, passed=False, failure="sandbox_error", detail=why))
        return fresh, lost


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

    Raises:
        UserError: see :meth:`Pool.judge`.
    """
    if executor == "ray":
        from codelab.sandbox.cluster import judge_on_ray  # noqa: PLC0415 - Ray is optional and slow to import

        yield from judge_on_ray(samples, workers=workers, limits=limits, report=report)
        return
    with Pool(workers, limits) as pool:
        try:
            yield from pool.judge(samples)
        finally:
            if report is not None:
                vars(report).update(vars(pool.report))
