"""Chapter 2's numbers against published values and sums done by hand."""

import pytest

from codelab.book.worked import ch02


def test_nf4_is_the_published_code() -> None:
    published = [
        -1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0,
        0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0,
    ]  # fmt: skip
    assert ch02.nf4_levels() == pytest.approx(published, abs=2e-6)


def test_adapter_of_a_square_layer() -> None:
    trained, share = ch02.adapter_share(4096, 4096, 16)
    assert trained == 131_072
    assert share == pytest.approx(1 / 128)
    with pytest.raises(ValueError, match="rank 0"):
        ch02.adapter_share(1, 1, 0)


def test_rows_are_whole_and_ordered() -> None:
    rows = ch02.memory_rows()
    assert len(rows) == 12
    for row in rows:
        parts = row.weights + row.gradients + row.optimizer + row.activations + row.adapters
        assert parts == pytest.approx(row.total), "no part of the estimate may be lost in the table"
    for full, lora, qlora in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        assert full.total > lora.total > qlora.total
    by_name = {(row.model, row.method): row.card for row in rows}
    assert by_name["7 B", "QLoRA"] == "8 GB"
    assert by_name["70 B", "QLoRA"] == "48 GB"
    assert by_name["70 B", "LoRA"] == "none"


def test_full_training_is_sixteen_bytes_a_parameter_before_activations() -> None:
    row = next(r for r in ch02.memory_rows() if (r.model, r.method) == ("7 B", "full"))
    assert row.weights + row.gradients + row.optimizer == 16 * 6_738_415_616


def test_table_sums_across() -> None:
    for row in ch02.memory_table():
        sizes = [value for value in row.values() if isinstance(value, float)]
        assert sum(sizes[:-1]) == pytest.approx(sizes[-1])


def test_cards() -> None:
    assert ch02.smallest_card(7.9e9) == 8
    assert ch02.smallest_card(8.1e9) == 16
    assert ch02.smallest_card(81e9) is None


def test_the_papers_65b_stays_below_48_gb() -> None:
    assert ch02.qlora_65b().total < 48e9


def test_rounding_to_levels() -> None:
    assert ch02.quantise([2.0, -0.9, 0.05], (-1, 0, 1)) == [2.0, 0.0, 0.0]
    assert ch02.relative_error((-1, 0, 1), [1.0, -1.0, 0.0]) == 0
    with pytest.raises(ValueError, match="other than zero"):
        ch02.quantise([0.0], (-1, 1))


def test_nf4_rounds_normal_weights_better_than_even_steps() -> None:
    assert ch02.relative_error(ch02.nf4_levels()) < ch02.relative_error(ch02.int4_levels())
