"""Packing: what a row holds, that packed pairs do not see one another, and where old rows stand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codelab.errors import UserError
from codelab.train.adapt_loop import forward, token_losses
from codelab.train.packing import Batch, Mixed, PairRows

EXAMPLES = [
    {"input_ids": [5, 6, 7, 8], "completion_mask": [0, 0, 1, 1]},
    {"input_ids": [9, 10, 11], "completion_mask": [0, 1, 1]},
    {"input_ids": [12, 13, 14, 15, 16], "completion_mask": [0, 0, 0, 1, 1]},
]


def test_every_pair_stands_once_in_an_epoch_and_only_completions_count() -> None:
    rows = PairRows(EXAMPLES, 8, seed=0)
    batch = rows.take(0, rows.rows)
    labels = sorted(batch.ids[:, 1:][batch.counted == 1].tolist())
    assert labels == [7, 8, 10, 11, 15, 16]
    found = {
        tuple(batch.ids[row, :-1][batch.segments[row] == number].tolist())
        for row in range(rows.rows)
        for number in range(1, batch.segments[row].max() + 1)
    }
    assert found == {tuple(one["input_ids"]) for one in EXAMPLES}


def test_positions_begin_anew_in_each_segment() -> None:
    segments = np.array([[1, 1, 1, 2, 2, 3, 0, 0]])
    batch = Batch(np.zeros((1, 9), np.int64), segments, segments, packed=True)
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 0, 0, 1]]


def test_a_packed_pair_has_the_loss_that_it_has_alone() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    device = torch.device("cpu")
    packed = PairRows(EXAMPLES, 12, seed=1).take(0, 1)
    assert packed.segments.max() == 3
    with torch.no_grad():
        together = token_losses(forward(model, packed, device, "fp32"), packed)
        for number in (1, 2, 3):
            place = packed.segments[0] == number
            ids = packed.ids[0, :-1][place]
            alone = model(input_ids=torch.tensor([ids])).logits[0, :-1]
            expected = torch.nn.functional.cross_entropy(alone, torch.tensor(ids[1:]), reduction="none")
            assert together[0, torch.from_numpy(place)][:-1].numpy() == pytest.approx(expected.numpy(), abs=1e-5)


class _Counting:
    """Rows that say which they are."""

    def __init__(self, sign: int) -> None:
        self.sign = sign

    def take(self, first: int, count: int) -> Batch:
        ids = self.sign * (1 + np.arange(first, first + count))[:, None].repeat(3, 1)
        return Batch(ids, np.ones((count, 2), np.int64), np.ones((count, 2), np.int64), packed=False)


@given(share=st.floats(0, 0.95), size=st.integers(1, 7), steps=st.integers(1, 30))
def test_old_rows_come_at_their_share_and_no_row_is_skipped_or_repeated(share: float, size: int, steps: int) -> None:
    mixed = Mixed(_Counting(1), _Counting(-1), share)
    seen = [int(one) for step in range(steps) for one in mixed.take(step * size, size).ids[:, 0]]
    old, new = sorted(-one for one in seen if one < 0), sorted(one for one in seen if one > 0)
    assert old == list(range(1, len(old) + 1))
    assert new == list(range(1, len(new) + 1))
    assert abs(len(old) - share * len(seen)) <= 1
    assert [mixed.is_old(place) for place in range(len(seen))].count(True) == len(old)


def test_no_pair_is_refused() -> None:
    with pytest.raises(UserError, match="none fits"):
        PairRows([], 8, seed=0)
