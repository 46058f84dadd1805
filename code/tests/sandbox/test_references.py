"""Full marks and none: every reference solution of MBPP passes, and what is certainly wrong does not."""

import pytest

from codelab.sandbox import Limits, Pool, Sample
from codelab.tasks.mbpp import Task, select
from codelab.tasks.mutate import mutant

LIMITS = Limits(cpu_seconds=30, wall_seconds=250)


@pytest.mark.slow
def test_all_974_reference_solutions_pass(mbpp: list[Task]) -> None:
    with Pool(2, LIMITS) as pool:
        verdicts = list(pool.judge(Sample(task, 0, task.code, challenge=True) for task in mbpp))
    assert [verdict for verdict in verdicts if not verdict.passed] == []
    assert sorted(verdict.task_id for verdict in verdicts) == list(range(1, 975))
    assert all(verdict.tests_passed == verdict.tests_total >= 3 for verdict in verdicts)


@pytest.mark.slow
def test_a_known_mix_gives_its_known_score(mbpp: list[Task]) -> None:
    tasks = select(mbpp, "validation")
    wrong = "def {name}(*args, **kwargs):\n    return object()\n"
    programs = [task.code if task.task_id % 3 else wrong.format(name=task.entry_point) for task in tasks]
    with Pool(2, LIMITS) as pool:
        verdicts = list(pool.judge(Sample(task, 0, program) for task, program in zip(tasks, programs, strict=True)))
    assert sum(verdict.passed for verdict in verdicts) == 60
    assert {verdict.failure for verdict in verdicts} == {"none", "wrong_value"}


@pytest.mark.slow
def test_mutants_are_judged_as_python_judges_them(mbpp: list[Task]) -> None:
    """The split test and the plain ``exec`` of the same test agree, on mutants that cannot harm the test's process."""
    tasks = [task for task in select(mbpp, "test") if not {"while", "recur"} & set(task.code.split())][:120]
    programs = [mutant(task.code, seed=task.task_id) for task in tasks]
    with Pool(2, Limits(cpu_seconds=1, wall_seconds=60)) as pool:
        samples = [Sample(task, 0, program) for task, program in zip(tasks, programs, strict=True)]
        verdicts = {verdict.task_id: verdict for verdict in pool.judge(samples)}
    assert {"none", "wrong_value", "exception", "syntax"} <= {verdict.failure for verdict in verdicts.values()}
    for task, program in zip(tasks, programs, strict=True):
        verdict = verdicts[task.task_id]
        if verdict.failure not in {"timeout", "killed"}:
            assert verdict.passed is plainly_passes(task, program), (task.task_id, verdict, program)


def plainly_passes(task: Task, program: str) -> bool:
    """What ``exec`` of program and tests says."""
    names: dict[str, object] = {}
    try:
        exec(program, names)
        exec("\n".join([task.setup, *task.tests]), names)
    except Exception:
        return False
    return True


def test_the_same_seed_gives_the_same_mutant(mbpp: list[Task]) -> None:
    first = [mutant(task.code, seed=task.task_id) for task in mbpp]
    assert first == [mutant(task.code, seed=task.task_id) for task in mbpp]
    assert sum(new != task.code for new, task in zip(first, mbpp, strict=True)) > 900
