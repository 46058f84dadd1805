"""The reward of GRPO as trl calls it: completions in, one number or None each out, and what they were counted as.

A completion that the sandbox failed on is judged once more; if that fails too it has no reward. Where tests are held
back from the prompt, programs that pass some tests are judged on the shown ones alone as well, which tells how many
answer the prompt's tests and not the question. Not covered: the weights (``codelab.train.rewards``). Needs no torch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from codelab.evaluate.collect import Judge
from codelab.evaluate.engines import Asker
from codelab.sandbox import Sample, Verdict
from codelab.tasks.mbpp import Task
from codelab.train import hardcoding
from codelab.train.clock import Clock
from codelab.train.rewards import Rung, Weights, flat_groups, reward, rung_of, shares

Observe = Callable[[Sequence[str], Sequence[Sequence[int]]], dict[str, float]]


@dataclass(frozen=True)
class Judged:
    """One completion of a batch with what became of it."""

    task: Task
    text: str
    program: str
    verdict: Verdict
    rung: Rung
    reward: float | None
    sign: hardcoding.Sign

    def row(self) -> dict[str, Any]:
        """Plain values, for ``Run.sample``."""
        outcome = self.verdict.row()
        return {
            "task_id": self.task.task_id,
            "text": self.text,
            **{name: outcome[name] for name in ("passed", "failure", "detail", "tests_passed", "tests_total")},
            "rung": self.rung,
            "reward": self.reward,
            "hard_coded": self.sign,
        }


class Rewarder:
    """Judges batches.

    Args:
        tasks: by the key that trl's ``prompt`` column holds.
        ask: takes the program out of a completion.
        judge: the sandbox.
        weights: of the reward.
        group: completions a prompt.
        shown: tests of a task that stand in its prompt.
        clock: told what judging took.
        observe: measures something on the batch while the policy is still the one that wrote it, if anything.

    Attributes:
        last: the batch judged last.
        columns: what ``steps.csv`` says of it.
        observe: as given; may be set later.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        ask: Asker,
        judge: Judge,
        *,
        weights: Weights,
        group: int,
        shown: int,
        clock: Clock,
        observe: Observe | None = None,
    ) -> None:
        self._tasks, self._ask, self._judge = tasks, ask, judge
        self._weights, self._group, self._shown = weights, group, shown
        self._clock, self.observe = clock, observe
        self.last: list[Judged] = []
        self.columns: dict[str, float] = {}

    def __call__(
        self, prompts: Sequence[str], completions: Sequence[str], completion_ids: Sequence[Sequence[int]], **_: Any
    ) -> list[float | None]:
        """One reward a completion, in order; None where the sandbox failed twice.

        Raises:
            RuntimeError: the sandbox failed on every completion: it is the sandbox that is broken.
        """
        with self._clock.part("judging"):
            self._batch([self._tasks[key] for key in prompts], completions)
        if all(one.reward is None for one in self.last):
            raise RuntimeError(f"the sandbox failed on a whole batch: {self.last[0].verdict.detail}")
        if self.observe is not None:
            with self._clock.part("observing"):
                self.columns |= self.observe(prompts, completion_ids)
        return [one.reward for one in self.last]

    def _batch(self, tasks: Sequence[Task], completions: Sequence[str]) -> None:
        programs: list[str] = []
        first: dict[tuple[int, str], int] = {}  # equal programs for a task are judged once

        def samples() -> Iterator[Sample]:  # taken lazily: programs are cut out while others run
            for i, (task, text) in enumerate(zip(tasks, completions, strict=True)):
                programs.append(self._ask.program(task, text))
                if first.setdefault((task.task_id, programs[i]), i) == i:
                    yield Sample(task, i, programs[i])

        found = {verdict.index: verdict for verdict in self._judge(samples())}
        again = [i for i, verdict in found.items() if verdict.failure == "sandbox_error"]
        if again:
            retried = self._judge(Sample(tasks[i], i, programs[i]) for i in again)
            found |= {verdict.index: verdict for verdict in retried}
        self.last = []
        for i, (task, program) in enumerate(zip(tasks, programs, strict=True)):
            verdict = found[first[task.task_id, program]]
            reached = rung_of(program, task, verdict)
            value = reward(self._weights, reached, verdict.tests_passed, verdict.tests_total)
            # Only what earns something for its answers can have been written for them.
            sign = hardcoding.sign(program, task, self._shown) if reached in {"some", "passes"} else ""
            self.last.append(Judged(task, completions[i], program, verdict, reached, value, sign))
        self.columns = self._count(len(again)) | self._held_back()

    def _count(self, again: int) -> dict[str, float]:
        rewards = [one.reward for one in self.last]
        known = [value for value in rewards if value is not None]
        mean = sum(known) / max(1, len(known))
        spread = (sum((value - mean) ** 2 for value in known) / max(1, len(known) - 1)) ** 0.5
        flat, within = flat_groups(rewards, self._group)
        passing = [one for one in self.last if one.rung == "passes"]
        answering = [one for one in self.last if one.rung in {"some", "passes"}]
        return {
            "reward": mean,
            "reward_spread": spread,
            "group_spread": within,
            "flat_groups": flat,
            **shares([one.rung for one in self.last]),
            "judged_again": float(again),
            "hard_coded": _share(sum(bool(one.sign) for one in passing), len(passing)),
            "hard_coded_some": _share(sum(bool(one.sign) for one in answering), len(answering)),
            "distinct": len({(one.task.task_id, one.program) for one in self.last}) / max(1, len(self.last)),
        }

    def _held_back(self) -> dict[str, float]:
        """Of the programs that pass every shown test, the share that fails one that was not shown."""
        hidden = [i for i, one in enumerate(self.last) if 0 < self._shown < len(one.task.tests)]
        if not hidden:
            return {}
        asked = [i for i in hidden if self.last[i].rung == "some"]
        samples = [
            Sample(replace(one.task, tests=one.task.tests[: self._shown]), i, one.program)
            for i, one in ((i, self.last[i]) for i in asked)
        ]
        only_shown = sum(verdict.passed for verdict in self._judge(samples)) if samples else 0
        whole = sum(self.last[i].rung == "passes" for i in hidden)
        return {"shown_only": _share(only_shown, only_shown + whole), "shown_passed": float(only_shown + whole)}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
