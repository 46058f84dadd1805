"""From a child's end and its answers to a verdict.

Not covered: how the answers were read (``codelab.sandbox.decode``) and what a test demands (``codelab.sandbox.plan``).
"""

import signal

from codelab.sandbox.clients import Job, Reply
from codelab.sandbox.decode import frames
from codelab.sandbox.guest.server import CPU, WALL
from codelab.sandbox.plan import Plan
from codelab.sandbox.types import Failure, Verdict


def timed_out(reply: Reply) -> str:
    """Which time ran out: ``cpu``, ``wall`` or neither (empty)."""
    if reply.reason == CPU or reply.code == -signal.SIGXCPU:
        return "cpu"
    return "wall" if reply.reason == WALL else ""


def verdict(job: Job, reply: Reply, plan: Plan) -> Verdict:
    """Judge one sample.

    Args:
        job: the sample and what its child wrote.
        reply: how the child ended.
        plan: its task's tests.
    """
    total = len(plan.judges)

    def make(failure: str, detail: str = "", held: int = 0) -> Verdict:
        return Verdict(
            *job.sample.key,
            passed=failure == "none",
            failure=_failure(failure),
            detail=detail,
            seconds=reply.seconds,
            cpu_seconds=reply.cpu_seconds,
            tests_passed=held,
            tests_total=total,
            retried=job.retried,
        )

    said = frames(bytes(job.output), len(plan.steps))
    if not said.ready:
        why = said.fault or f"the child ended before its program was read ({_ending(reply)})"
        return make("sandbox_error", why)
    if job.flooded:
        return make("killed", f"answered more than {job.limits.output_bytes} bytes")
    if said.forged:
        return make("killed", f"wrote to the pipe by itself: {said.forged}")
    if said.program and said.program[0] != "ok":
        return make(*said.program)
    outcomes = plan.verdicts(said.answers)
    held = sum(outcome is not None and outcome.failure == "none" for outcome in outcomes)
    if (time := timed_out(reply)) and (held < total or len(said.answers) < len(plan.steps)):
        limit = job.limits.cpu_seconds if time == "cpu" else job.limits.wall_seconds
        return make("timeout", f"{time} limit of {limit:g} s", held)
    first = next((outcome for outcome in outcomes if outcome is None or outcome.failure != "none"), None)
    if held == total and reply.code == 0 and not time and len(said.answers) == len(plan.steps):
        return make("none", held=held)
    if first is not None:
        return make(first.failure, first.detail, held)
    return make("killed", f"ended before it answered every call ({_ending(reply)})", held)


def _ending(reply: Reply) -> str:
    if reply.code < 0:
        try:
            return signal.Signals(-reply.code).name
        except ValueError:
            return f"signal {-reply.code}"
    return f"exit {reply.code}"


def _failure(name: str) -> Failure:
    known: dict[str, Failure] = {
        "none": "none",
        "syntax": "syntax",
        "missing_name": "missing_name",
        "exception": "exception",
        "wrong_value": "wrong_value",
        "timeout": "timeout",
        "killed": "killed",
        "sandbox_error": "sandbox_error",
    }
    return known[name]
