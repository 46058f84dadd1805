"""What groups of judged completions show: against hand-computed values, and against drawing every group."""

from itertools import combinations

import numpy as np
import pytest

from codelab.train.groups import (
    CONTRASTS,
    OUTCOMES,
    Level,
    Levels,
    advantage_parts,
    chances,
    joint_chances,
    levels,
    variance_parts,
)
from codelab.train.rewards import Rung

# Two pass, one passes a test, two run to a wrong answer, one does not parse: every outcome is possible.
MIXED: list[tuple[float | None, Rung]] = [
    (1.0, "passes"), (1.0, "passes"), (0.2, "some"), (0.1, "runs"), (0.1, "runs"), (0.0, "syntax"),
]  # fmt: skip
REWARDS = [1.0, 1.0, 0.2, 0.1, 0.1, 0.0]


def outcome(group: tuple[tuple[float | None, Rung], ...]) -> str:
    """By the definition, for one group."""
    if len({value for value, _ in group}) == 1:
        return "flat"
    reached = {rung for _, rung in group}
    return "solving" if "passes" in reached else "tests" if "some" in reached else "form"


def test_completions_are_counted_by_reward_and_faults_are_left_out() -> None:
    found = levels([*MIXED, (None, "fault")])
    assert found == (Level(0.0, 0, 1), Level(0.1, 0, 2), Level(0.2, 1, 1), Level(1.0, 2, 2))


def test_one_pass_in_four_by_hand() -> None:
    # Groups of 2 out of one pass and three failures: C(3, 2) of C(4, 2) are flat.
    task = levels([(1.0, "passes"), (0.0, "runs"), (0.0, "some"), (0.0, "syntax")])
    assert chances(task, 2) == {"flat": 0.5, "form": 0.0, "tests": 0.0, "solving": 0.5}
    assert chances(task, 4)["solving"] == 1


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6])
def test_chances_are_those_of_every_group_that_can_be_drawn(size: int) -> None:
    every = [outcome(group) for group in combinations(MIXED, size)]
    found = chances(levels(MIXED), size)
    assert found == pytest.approx({name: every.count(name) / len(every) for name in OUTCOMES})


@pytest.mark.parametrize(("first", "size"), [(2, 2), (3, 2), (2, 4), (1, 3)])
def test_joint_chances_are_those_of_every_two_groups_apart(first: int, size: int) -> None:
    places = range(len(MIXED))
    every = [
        (outcome(tuple(MIXED[i] for i in one)), outcome(tuple(MIXED[i] for i in other)))
        for one in combinations(places, first)
        for other in combinations(sorted(set(places) - set(one)), size)
    ]
    found = joint_chances(levels(MIXED), first, size)
    assert found == pytest.approx({(a, b): every.count((a, b)) / len(every) for a in OUTCOMES for b in OUTCOMES})


def test_groups_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ValueError, match="group of 7 cannot be drawn from 6"):
        chances(levels(MIXED), 7)
    with pytest.raises(ValueError, match="4 and 3 completions cannot be drawn from 6"):
        joint_chances(levels(MIXED), 4, 3)
    with pytest.raises(ValueError, match="two completions"):
        variance_parts(levels(MIXED[:1]))


def test_the_parts_of_the_variance_by_hand_add_up_to_it() -> None:
    parts = variance_parts(levels(MIXED))
    # 15 pairs, half a squared difference each. Form: 2 pairs of 0.1 and 0; tests: 0.2 against 0.1, 0.1 and 0.
    assert parts["form"] == pytest.approx(2 * 0.1**2 / 2 / 15)
    assert parts["tests"] == pytest.approx((2 * 0.1**2 + 0.2**2) / 2 / 15)
    assert parts["solving"] == pytest.approx(2 * (0.8**2 + 2 * 0.9**2 + 1.0**2) / 2 / 15)
    assert sum(parts.values()) == pytest.approx(np.var(REWARDS, ddof=1))


def test_advantages_are_those_of_trl_and_small_differences_count_as_much_as_large_ones() -> None:
    generator = np.random.default_rng(0)
    whole = advantage_parts(levels(MIXED), 6, 3, generator)  # the only group there is
    rewards = np.array(REWARDS)
    advantages = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-4)
    assert sum(whole.values()) == pytest.approx((advantages**2).mean())
    form: Levels = levels([(0.1, "runs")] * 4 + [(0.06, "defines")] * 4)
    solving: Levels = levels([(1.0, "passes")] * 4 + [(0.0, "runs")] * 4)
    pushed = [advantage_parts(task, 8, 1, generator) for task in (form, solving)]
    assert pushed[0]["form"] == pytest.approx(pushed[1]["solving"], rel=0.02)
    assert variance_parts(form)["form"] < variance_parts(solving)["solving"] / 500


def test_a_flat_task_pushes_nowhere() -> None:
    task = levels([(0.1, "runs")] * 5)
    assert chances(task, 3)["flat"] == 1
    assert advantage_parts(task, 3, 4, np.random.default_rng(0)) == dict.fromkeys(CONTRASTS, 0.0)
