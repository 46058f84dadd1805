"""The learning-rate factor by table."""

import pytest

from codelab.train.schedule import Schedule


@pytest.mark.parametrize(
    ("done", "factor"),
    [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.5, 1.0), (0.8, 1.0), (0.9, 0.55), (1.0, 0.1), (1.5, 0.1), (-1.0, 0.0)],
)
def test_trapezoid(done: float, factor: float) -> None:
    schedule = Schedule(total=1, warmup=0.1, decay=0.2, final=0.1)
    assert schedule.factor(done) == pytest.approx(factor)


def test_no_warmup_and_no_decay_is_flat() -> None:
    schedule = Schedule(total=1, warmup=0, decay=0)
    assert [schedule.factor(done) for done in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]
