"""Makes tests for instruction pairs by running their own code in the sandbox: proposes, observes, confirms, chooses.

A call's answer becomes a test only where fresh processes under other hash seeds, asked in another order, say the same.
Nothing is executed in this process. The same pairs give the same bytes. Not covered: which pairs and calls are worth
trying (``codelab.tasks.tested``) and tasks of MBPP's test split, which ``codelab.tasks.enlarged`` keeps out at loading.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from codelab.evaluate.progress import Progress
from codelab.sandbox import Limits, Observer, Pool, Probe, Sample
from codelab.sandbox.decode import Answer
from codelab.tasks.instructions import Instruction
from codelab.tasks.mbpp import Task
from codelab.tasks.mutate import mutant
from codelab.tasks.tested import calls, choose, fit
from codelab.tasks.tested.calls import Call
from codelab.tasks.tested.choose import Answered
from codelab.tasks.tested.kinds import NeedsObjectError
from codelab.tasks.tested.plain import NotPlainError, answer

LIMITS = Limits(cpu_seconds=0.3, wall_seconds=10, output_bytes=1 << 17)
"""Of a process that answers all proposed calls; what is judged later gets more than one call's share of this."""
FINAL = Limits(cpu_seconds=0.2, wall_seconds=10)
"""Of the last look at each task; less than what the task will be judged under, so that it passes there."""
MUTANTS = 8
CAUGHT = 2.0
"""A task's tests catch at least one of so many mutants; some are as right as the original."""
ACCEPTED = 0.4
"""Share of its calls that a function answers by plain values, where it takes arguments of their kinds."""
ROUNDS = 4
"""How often a process that ended early is started again, without the call that ended it."""
SEEDS = (1, 2, 3)
"""Hash seeds of the processes that confirm; the first answers come from seed 0, as verdicts do."""
_BLOCK = 500


@dataclass
class Work:
    """One pair on its way.

    Attributes:
        place: in the file.
        row: the file's row.
        pair: the same, read.
        calls: proposed.
        given: the docstring's own examples that pass.
        offered: calls that were answered by plain values.
        mutants: wrong versions that were run.
        tests: what was chosen.
        reason: why it is left out; empty while it is not.
    """

    place: int
    row: dict[str, Any]
    pair: Instruction
    calls: list[Call] = field(default_factory=list)
    given: list[Answered] = field(default_factory=list)
    offered: list[Answered] = field(default_factory=list)
    mutants: int = 0
    tests: list[Answered] = field(default_factory=list)
    reason: str = ""

    @property
    def enough(self) -> bool:
        """Whether the docstring's own examples make tests, so that nothing else is asked of the pair."""
        return len(self.given) >= choose.LEAST and len({one.expected for one in self.given}) > 1


def make(rows: Iterable[dict[str, Any]], *, workers: int | None = None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of the pairs that have tests now, in file order, and the counts for the data card.

    Args:
        rows: of ``instructions.jsonl.zst``: text, code, entry_point, source, examples and more, which is kept.
        workers: fork servers; None for one a core.

    Returns:
        Rows with ``examples`` completed and ``derived``, the number of the last examples that were made by running;
        and :func:`codelab.tasks.tested.choose.summary`.

    Raises:
        UserError: the sandbox cannot be started.
    """
    works = [Work(place, row, _instruction(row)) for place, row in enumerate(rows)]
    with ExitStack() as stack, Progress("tests", len(works)) as progress:
        confirming = [stack.enter_context(Observer(1, LIMITS, retry="none", hash_seed=seed)) for seed in SEEDS]
        observer = stack.enter_context(Observer(workers, LIMITS, retry="wall"))
        pool = stack.enter_context(Pool(workers, FINAL, retry="all"))
        for start in range(0, len(works), _BLOCK):
            block = works[start : start + _BLOCK]
            _examples(block, pool)
            _propose(block)
            _observe(block, observer)
            for other in confirming:
                _confirm(block, other)
            _mutants(block, observer)
            _choose(block)
            _judge(block, pool)
            progress.advance(len(block), f"{sum(not work.reason for work in works[: start + _BLOCK])} tasks")
    return [_row(work) for work in works if not work.reason], _summary(works)


def _instruction(row: dict[str, Any]) -> Instruction:
    shown = tuple(dict.fromkeys(row.get("examples", ())))
    return Instruction(row["text"], row["code"], row["entry_point"], row["source"], shown)


def _examples(works: Sequence[Work], pool: Pool) -> None:
    """Keep the docstring's examples that hold; a pair whose code contradicts one is no task."""
    wanted = {}
    for work in works:
        for number, test in enumerate(work.pair.examples):
            try:
                wanted[work.place, number] = Sample(
                    Task(work.place, "", work.pair.code, tests=(test,)), number, work.pair.code
                )
                _ = wanted[work.place, number].task.needed_names
            except (SyntaxError, ValueError):
                wanted.pop((work.place, number), None)
    by_place = {work.place: work for work in works}
    held = {(one.task_id, one.index): one for one in pool.judge(wanted.values())}
    for place, number in wanted:
        work, verdict = by_place[place], held[place, number]
        test = work.pair.examples[number]
        if verdict.passed and (example := calls.example(test)):
            work.given.append(Answered(*example, shown=True))
        elif verdict.failure == "wrong_value":
            work.reason = "code: not what its docstring shows"


def _propose(works: Sequence[Work]) -> None:
    for work in works:
        if work.reason:
            continue
        # Group a is teaching code, whose texts are written for readers; a library's are written for its callers.
        reason = fit.unfit(work.pair, library=work.row.get("group") != "a" and not work.given)
        if not reason:
            try:
                work.calls = calls.proposed(work.pair)
                reason = "" if work.calls else "calls: none short enough"
            except NeedsObjectError:
                reason = "calls: objects needed"
        work.reason = "" if work.enough else reason


def _ask(observer: Observer, asked: Mapping[int, tuple[str, Sequence[str]]]) -> dict[int, list[Answer | None]]:
    """Answers to every call, None where there is none, by key; a call that ends its process is left out of the next."""
    answers: dict[int, list[Answer | None]] = {key: [] for key in asked}
    for _ in range(ROUNDS):
        left = [(key, code, texts) for key, (code, texts) in asked.items() if len(answers[key]) < len(texts)]
        probes = (Probe(key, code, tuple(texts[len(answers[key]) :])) for key, code, texts in left)
        for seen in list(observer.observe(probes)):
            answers[seen.key] += seen.answers
            if len(answers[seen.key]) < len(asked[seen.key][1]):
                # Without an answer to the first call, its program does not even start: nothing more to ask.
                stuck = seen.failure in ("syntax", "missing_name", "exception", "sandbox_error")
                missing = len(asked[seen.key][1]) - len(answers[seen.key])
                answers[seen.key] += [None] * (missing if stuck else 1)
    for key, (_, texts) in asked.items():
        answers[key] += [None] * (len(texts) - len(answers[key]))
    return answers


def _literal(found: Answer | None) -> str | None:
    if found is None or found.kind != "v":
        return None
    try:
        return answer(found.value)
    except (NotPlainError, RecursionError):
        return None


def _observe(works: Sequence[Work], observer: Observer) -> None:
    open_ = [work for work in works if not work.reason and len(work.given) < choose.TESTS and work.calls]
    answers = _ask(observer, {work.place: (work.pair.code, [call.text for call in work.calls]) for work in open_})
    for work in open_:
        # Copies: a wrapped generator comes back as a list, an iterator without one is no literal.
        pairs = [(call, _literal(found)) for call, found in zip(work.calls, answers[work.place], strict=True)]
        work.offered = choose.considered(_likeliest(pairs))
        if len(work.offered) < choose.LEAST and not work.enough:
            found = {text for _, text in pairs} - {None}
            work.reason = "answers: none that is plain and short" if not found else "answers: all alike"
            work.reason = "answers: few calls are taken" if len(found) > 1 else work.reason


def _likeliest(pairs: Sequence[tuple[Call, str | None]]) -> list[Answered]:
    """The answers of the first combination of kinds that the function takes, and those to changed examples.

    It takes a combination when it answers at least :data:`ACCEPTED` of its calls, and not all alike.
    """
    made = [(call.rank, Answered(call.text, call.arguments, text)) for call, text in pairs if text is not None]
    like_examples = [one for rank, one in made if rank < 0]
    if len(like_examples) >= choose.TESTS and len({one.expected for one in like_examples}) > 1:
        return like_examples
    for rank in sorted({call.rank for call, _ in pairs if call.rank >= 0}):
        mine = [one for number, one in made if number == rank]
        asked = sum(call.rank == rank for call, _ in pairs)
        if len(mine) >= ACCEPTED * asked and len({one.expected for one in mine}) > 1:
            return like_examples + mine
    return like_examples


def _confirm(works: Sequence[Work], observer: Observer) -> None:
    """Drop calls that answer otherwise in a fresh process, under another hash seed and in another order."""
    open_ = [work for work in works if not work.reason and work.offered]
    asked = {work.place: (work.pair.code, [one.call for one in work.offered][::-1]) for work in open_}
    answers = _ask(observer, asked)
    for work in open_:
        same = [one for one, found in zip(work.offered, answers[work.place][::-1], strict=True)
                if _literal(found) == one.expected]  # fmt: skip
        # One that changes makes the others suspicious: it hangs on chance, on order or on what was asked before.
        work.offered = same if len(same) == len(work.offered) else []
        if not work.offered and not work.enough:
            work.reason = "answers: another one in another process"


def _mutants(works: Sequence[Work], observer: Observer) -> None:
    open_ = [work for work in works if not work.reason and work.offered]
    asked = {
        work.place * MUTANTS + number: (program, [one.call for one in work.offered])
        for work in open_
        for number, program in enumerate(_changed(work))
    }
    answers = _ask(observer, asked)
    for work in open_:
        keys = [key for key in range(work.place * MUTANTS, (work.place + 1) * MUTANTS) if key in answers]
        work.mutants = len(keys)
        work.offered = [
            replace(one, kills=frozenset(key for key in keys if _literal(answers[key][at]) != one.expected))
            for at, one in enumerate(work.offered)
        ]


def _changed(work: Work) -> list[str]:
    made = (mutant(work.pair.code, seed=1000 * work.place + number) for number in range(2 * MUTANTS))
    valid = [program for program in dict.fromkeys(made) if _parses(program)]
    return valid[:MUTANTS]


def _parses(program: str) -> bool:
    try:
        compile(program, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def _choose(works: Sequence[Work]) -> None:
    for work in works:
        if work.reason:
            continue
        work.tests = choose.chosen(work.given, work.offered)
        if len(work.tests) < choose.LEAST:
            work.reason = "tests: fewer than two"
        elif why := choose.trivial(work.tests):
            work.reason = f"tests: passed by {why}"
        elif not work.enough and choose.unlike(work.pair.text, work.tests):
            work.reason = "tests: answers of another type than the text promises"
        elif not work.enough and choose.unguessable(work.pair.text, work.pair.code, work.tests):
            work.reason = "tests: texts that nobody can know"
        elif not work.enough and work.mutants > CAUGHT * len(frozenset().union(*(one.kills for one in work.tests))):
            work.reason = "tests: catch few mutants"


def _judge(works: Sequence[Work], pool: Pool) -> None:
    """The last look: all tests of a task in one process, as a sample of a model is judged."""
    open_ = {work.place: work for work in works if not work.reason}
    tasks = (
        Task(place, work.pair.text, work.pair.code, tests=tuple(one.line for one in work.tests))
        for place, work in open_.items()
    )
    for verdict in pool.judge(Sample(task, 1, task.code) for task in tasks):
        if not verdict.passed:
            open_[verdict.task_id].reason = "tests: not passed by their own code"


def _row(work: Work) -> dict[str, Any]:
    tests = work.tests
    return work.row | {"examples": [one.line for one in tests], "derived": sum(not one.shown for one in tests)}


def _summary(works: Sequence[Work]) -> dict[str, Any]:
    left_out: dict[str, int] = {}
    for work in works:
        if work.reason:
            left_out[work.reason] = left_out.get(work.reason, 0) + 1
    kept = [work.tests for work in works if not work.reason]
    return {"pairs": len(works), **choose.summary(kept, left_out)}
