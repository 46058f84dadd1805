"""Rows cover every token once an epoch, in an order that the seed decides."""

import json
from pathlib import Path

import numpy as np
import pytest

from codelab.errors import UserError
from codelab.train.tokens import RowOrder, Shards, open_tokens


def shards(*sizes: int) -> Shards:
    begin = 0
    arrays = []
    for size in sizes:
        arrays.append(np.arange(begin, begin + size, dtype=np.uint16))
        begin += size
    return Shards(tuple(arrays), text_bytes=1)


def test_rows_overlap_by_one_token_and_miss_only_the_tail() -> None:
    split = shards(21, 12)
    rows = split.rows(split.row_starts(5), 5)
    assert rows.tolist() == [
        [0, 1, 2, 3, 4, 5], [5, 6, 7, 8, 9, 10], [10, 11, 12, 13, 14, 15], [15, 16, 17, 18, 19, 20],
        [21, 22, 23, 24, 25, 26], [26, 27, 28, 29, 30, 31],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "spread", "firsts"),
    [
        (3, False, [0, 5, 10]),
        (3, True, [0, 10, 21]),
        (6, True, [0, 5, 10, 15, 21, 26]),
        (99, True, [0, 5, 10, 15, 21, 26]),
        (99, False, [0, 5, 10, 15, 21, 26]),
    ],
)
def test_some_rows_are_the_first_or_spread_over_all_files(count: int, spread: bool, firsts: list[int]) -> None:
    assert shards(21, 12).some_rows(5, count, spread)[:, 0].tolist() == firsts


def test_an_epoch_is_a_permutation_and_the_next_one_differs() -> None:
    order = RowOrder(shards(101), 5, seed=3)
    first = order.batch(0, order.rows)[:, 0].tolist()
    second = order.batch(order.rows, order.rows)[:, 0].tolist()
    assert sorted(first) == list(range(0, 100, 5)) == sorted(second)
    assert first != second
    assert RowOrder(shards(101), 5, seed=4).batch(0, order.rows)[:, 0].tolist() != first


def test_a_batch_does_not_depend_on_what_was_asked_before() -> None:
    order = RowOrder(shards(101), 5, seed=3)
    across = order.batch(15, 10)
    order.batch(0, 20)
    assert np.array_equal(across, order.batch(15, 10))
    assert np.array_equal(across[4:6], RowOrder(shards(101), 5, seed=3).batch(19, 2))


def test_too_few_tokens_for_a_row() -> None:
    with pytest.raises(UserError, match="less than one row"):
        RowOrder(shards(5), 5, seed=0)


def test_a_folder_that_does_not_hold_what_it_says(tiny_tokens: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"meta\.json"):
        open_tokens(tmp_path)
    meta = json.loads((tiny_tokens / "meta.json").read_text())
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"expected \d+ tokens"):
        open_tokens(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps({"vocab_size": 3}))
    with pytest.raises(UserError, match=r"splits\.train"):
        open_tokens(tmp_path)
