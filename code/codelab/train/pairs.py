"""Preference pairs by execution: the chosen program passes a task's tests, the rejected one is known to fail them.

The model's own passing program is chosen first, the reference where it has none (a recipe may leave either out);
rejected are its own failures, by class, and failing mutants of the reference. Where the reference is chosen, both sides
are printed from their syntax trees, so that layout tells nothing. Lengths are matched, since DPO would learn length
otherwise. Pure and seeded: no torch, no processes. Not covered: sampling and judging (``codelab.train.candidates``).
"""

import ast
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field, field_validator

from codelab.errors import UserError
from codelab.records import Strict
from codelab.tasks.mbpp import SPLITS, Task, select
from codelab.train.sft import MIXED_UP

Source = Literal["own", "reference", "mutant"]
Length = Callable[[str], int]
CLASSES = ("wrong_value", "exception", "missing_name", "syntax", "timeout", "killed", "mutant")


class PairSettings(Strict):
    """Which pairs are made of what was judged."""

    splits: tuple[Literal["train", "validation"], ...] = Field(default=("train",), min_length=1)
    enlarged: str | None = Field(default=None, description="instructions.jsonl.zst; pairs with examples become tasks")
    least_tests: int = Field(default=2, ge=1, description="different examples that such a pair must have")
    mix: dict[str, float] = Field(
        description="largest share that each class of rejected program may have; a class not named is left out"
    )
    chosen: tuple[Literal["own", "reference"], ...] = Field(
        default=("own", "reference"),
        min_length=1,
        description="which passing programs: the model's own where there are any; mutants face references alone",
    )
    per_task: int = Field(default=8, ge=1, description="pairs a task, at most")
    chosen_uses: int = Field(default=4, ge=1, description="pairs that one program may be chosen in")
    length_ratio: float = Field(default=1.5, ge=1, description="longer side over shorter side, at most")
    mean_difference: float = Field(default=2.0, gt=0, description="tokens that the sides may differ by on average")
    limit: int | None = Field(default=None, ge=1)

    @field_validator("mix")
    @classmethod
    def _known(cls, value: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(value.keys() - set(CLASSES)):
            raise ValueError(f"unknown class {unknown[0]!r}; expected some of {', '.join(CLASSES)}")
        if not value or any(not 0 < share <= 1 for share in value.values()) or sum(value.values()) < 1:
            raise ValueError("shares lie above 0 and up to 1, and together they must reach 1")
        return value


@dataclass(frozen=True)
class Candidate:
    """A judged program; ``failure`` is ``none`` where it passes every test. References and mutants are printed."""

    task_id: int
    program: str
    source: Source
    failure: str

    @property
    def passes(self) -> bool:
        """Whether it may be chosen."""
        return self.failure == "none"

    @property
    def kind(self) -> str:
        """Its class in :attr:`PairSettings.mix`."""
        return "mutant" if self.source == "mutant" else self.failure


@dataclass(frozen=True)
class Pair:
    """Two programs for one task; ``longer`` is the rejected side's length minus the chosen side's, in tokens."""

    chosen: Candidate
    rejected: Candidate
    chosen_tokens: int
    rejected_tokens: int

    @property
    def longer(self) -> int:
        """Tokens by which the rejected side is longer."""
        return self.rejected_tokens - self.chosen_tokens

    @property
    def ratio(self) -> float:
        """The longer side's length over the shorter one's."""
        low, high = sorted((max(1, self.chosen_tokens), max(1, self.rejected_tokens)))
        return high / low


def usable(tasks: Iterable[Task], splits: Sequence[str]) -> list[Task]:
    """Tasks that may be trained on: those of the splits, without the ones whose question stands in the test split.

    Raises:
        UserError: a split that is not for training.
    """
    if wrong := [split for split in splits if split not in {"train", "validation"}]:
        raise UserError(f"pairs: splits: expected train or validation, got {wrong[0]!r}")
    everything = list(tasks)
    chosen = [task for split in dict.fromkeys(splits) for task in select(everything, split)]
    return [task for task in chosen if task.task_id not in MIXED_UP]


def normal_form(program: str) -> str:
    """The program without layout, comments and docstrings; text that does not parse without its blanks."""
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return " ".join(program.split())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Module) and body:
            first = body[0]
            if len(body) > 1 and isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del body[0]
    return ast.dump(tree)


def printed(program: str) -> str:
    """The program as its syntax tree prints it; as it is where it does not parse."""
    try:
        return ast.unparse(ast.parse(program)) + "\n"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return program


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The first of each normal form of a task; a form with both verdicts (a flaky program) is dropped altogether.

    A reference stays beside a model's program of its form: what is printed goes with what is printed.
    """
    verdicts: dict[tuple[int, str], set[bool]] = defaultdict(set)
    seen: set[tuple[int, str, str]] = set()
    forms = []
    for candidate in candidates:
        form = normal_form(candidate.program)
        verdicts[candidate.task_id, form].add(candidate.passes)
        key = (candidate.task_id, "" if candidate.source in {"own", "mutant"} else candidate.source, form)
        if key not in seen:
            seen.add(key)
            forms.append((candidate, form))
    return [candidate for candidate, form in forms if len(verdicts[candidate.task_id, form]) == 1]


def make_pairs(
    candidates: Iterable[Candidate],
    settings: PairSettings,
    length: Length,
    seed: int,
    beyond: Collection[int] = (),
) -> list[Pair]:
    """Match, balance and mix.

    Args:
        candidates: judged programs, any order.
        settings: of the recipe.
        length: tokens of a program.
        seed: decides every choice that the settings leave open.
        beyond: ids of tasks beyond MBPP that may be trained on.

    Raises:
        UserError: a task of another split (or with a twin in the test split), or no pair at all.
    """
    allowed = ({i for split in settings.splits for i in SPLITS[split]} - MIXED_UP) | set(beyond)
    by_task: dict[int, list[Candidate]] = defaultdict(list)
    ordered = sorted(candidates, key=lambda one: (one.task_id, one.source, one.failure, one.program))
    for candidate in ordered:
        if candidate.task_id not in allowed:
            raise UserError(f"pairs: task {candidate.task_id} is not in {', '.join(settings.splits)}: never trained on")
        by_task[candidate.task_id].append(candidate)
    pairs = [
        pair
        for task_id, group in by_task.items()
        for pair in _of_task(distinct(group), settings, lru_cache(4096)(length), random.Random(f"{seed}/{task_id}"))
    ]
    random.Random(seed).shuffle(pairs)
    before = -1
    while len(pairs) != before:  # either step may undo the other; both only remove
        before = len(pairs)
        pairs = _mixed(pairs, settings)
        pairs = _balanced(pairs, settings.mean_difference)
    if not pairs:
        raise UserError("pairs: none left; the mix or the bounds on length leave nothing of what was judged")
    return pairs


def _of_task(group: list[Candidate], settings: PairSettings, length: Length, choose: random.Random) -> list[Pair]:
    own, reference = (
        [one for one in group if source in settings.chosen and one.source == source and one.passes]
        for source in ("own", "reference")
    )
    uses: dict[str, int] = defaultdict(int)
    waiting: dict[str, list[Candidate]] = defaultdict(list)
    failing = [one for one in group if not one.passes and one.kind in settings.mix]
    choose.shuffle(failing)
    for one in failing:
        waiting[one.kind].append(one)
    pairs: list[Pair] = []
    while len(pairs) < settings.per_task and any(waiting.values()):
        for kind in sorted(waiting):  # one of each class in turn
            if not waiting[kind] or len(pairs) >= settings.per_task:
                continue
            rejected = waiting[kind].pop()
            partners = own if own and rejected.source == "own" else reference
            if partners is reference:
                rejected = replace(rejected, program=printed(rejected.program))
            free = [one for one in partners if uses[one.program] < settings.chosen_uses]
            pair = _nearest(free, rejected, length)
            if pair and pair.ratio <= settings.length_ratio:
                uses[pair.chosen.program] += 1
                pairs.append(pair)
    return pairs


def _nearest(partners: Sequence[Candidate], rejected: Candidate, length: Length) -> Pair | None:
    size = length(rejected.program)
    sized = [(length(one.program), one) for one in partners]
    if not sized:
        return None
    tokens, best = min(sized, key=lambda one: (abs(one[0] - size), one[1].program))
    return Pair(best, rejected, tokens, size)


def _mixed(pairs: list[Pair], settings: PairSettings) -> list[Pair]:
    """The most pairs in which no class has more than its share, the first ones of each class."""
    counts: dict[str, int] = defaultdict(int)
    for pair in pairs:
        counts[pair.rejected.kind] += 1
    total = min(len(pairs), settings.limit or len(pairs))
    while total and sum(min(count, int(settings.mix[kind] * total + 1e-9)) for kind, count in counts.items()) < total:
        total -= 1
    left = {kind: int(settings.mix[kind] * total + 1e-9) for kind in counts}
    kept: list[Pair] = []
    for pair in pairs:
        if len(kept) < total and left[pair.rejected.kind]:
            left[pair.rejected.kind] -= 1
            kept.append(pair)
    return kept


def _balanced(pairs: list[Pair], bound: float) -> list[Pair]:
    """Drops the most lopsided pairs of the heavier direction until the mean difference is within the bound."""
    total = sum(pair.longer for pair in pairs)
    left = sorted(range(len(pairs)), key=lambda i: (pairs[i].longer, i))
    while left and abs(total) > bound * len(left):
        worst = left.pop() if total > 0 else left.pop(0)
        total -= pairs[worst].longer
    keep = set(left)
    return [pair for i, pair in enumerate(pairs) if i in keep]


def table(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Pairs by the sources of both sides and the rejected side's class, with mean lengths; the last row is the sum."""
    groups: dict[tuple[str, str, str], list[Pair]] = defaultdict(list)
    for pair in pairs:
        groups[pair.chosen.source, pair.rejected.source, pair.rejected.failure].append(pair)
    rows = [_row(*key, group) for key, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))]
    return [*rows, _row("all", "all", "all", pairs)]


def _row(chosen: str, rejected: str, failure: str, group: Sequence[Pair]) -> dict[str, Any]:
    count = max(1, len(group))
    return {
        "chosen": chosen,
        "rejected": rejected,
        "failure": failure,
        "pairs": len(group),
        "tasks": len({pair.chosen.task_id for pair in group}),
        "chosen_tokens": sum(pair.chosen_tokens for pair in group) / count,
        "rejected_tokens": sum(pair.rejected_tokens for pair in group) / count,
        "difference": sum(pair.longer for pair in group) / count,
        "rejected_longer": sum(pair.longer > 0 for pair in group) / count,
    }
