"""When a slow start with a high rate pays, on curves that can be reckoned by hand."""

import pytest

from codelab.train.engines.breakeven import Cost, break_even


def test_break_even_is_where_the_slow_start_is_paid() -> None:
    quick, slow = Cost(10.0, {10: 10.0}), Cost(100.0, {10: 1.0})
    assert break_even(quick, slow) == 100  # 10 + n against 100 + n / 10
    assert slow.of(100) <= quick.of(100)
    assert slow.of(99) > quick.of(99)
    assert break_even(slow, quick) is None, "the quick start is behind in the end"
    assert break_even(quick, Cost(5.0, {10: 1.0})) == 1
    assert break_even(Cost(0, {8: 1.0}), Cost(1e9, {8: 0.5}), most=1000) is None


def test_a_batch_costs_the_same_however_full_it_is() -> None:
    batched = Cost(0.0, {8: 4.0}, batch=8)
    assert [batched.of(count) for count in (0, 1, 8, 9, 16, 17)] == [0, 4, 4, 8, 8, 12]
    assert break_even(batched, Cost(6.0, {8: 0.8})) == 9
    assert break_even(batched, Cost(7.0, {8: 0.8})) == 17, "ahead at 9, behind again at 16"
    curve = Cost(1.0, {10: 2.0, 20: 3.0})
    assert [curve.of(count) for count in (5, 10, 15, 20, 30)] == [3, 3, 3.5, 4, 5]
    with pytest.raises(ValueError, match="at least one"):
        Cost(1.0, {}).of(3)
