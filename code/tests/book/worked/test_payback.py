"""A late start is paid by a higher rate, and by none before its head start is made up."""

import pytest

from codelab.book.worked import payback


def test_a_late_start_is_paid_where_its_pace_is_higher() -> None:
    quick, slow = {"start": 10.0, "rate": 100.0}, {"start": 60.0, "rate": 200.0}
    assert payback.head_start(quick, slow) == 5000
    found = payback.paid_from(quick, slow)
    assert found == pytest.approx(10_000)
    assert [10 + found / 100, 60 + found / 200] == pytest.approx([110, 110]), "both are done at once"
    assert payback.pace_needed(quick, slow, 10_000) == pytest.approx(200)
    assert payback.pace_needed(quick, slow, 5000) is None, "below the head start no pace is enough"
    assert payback.paid_from(quick, {"start": 60.0, "rate": 100.0}) is None
    assert payback.paid_from(quick, {"start": 5.0, "rate": 200.0}) == 0
    assert payback.head_start(quick, {"start": 5.0, "rate": 1.0}) == 0
