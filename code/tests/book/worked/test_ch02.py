"""Chapter 2's numbers against published values and sums done by hand."""

import numpy as np
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
    assert ch02.card("7 B", "qlora") == "8 GB"
    assert ch02.card("70 B", "lora") == "no single card"


def test_the_papers_65b_stays_below_48_gb() -> None:
    assert ch02.qlora_65b().total < 48e9


def test_rounding_error_agrees_with_random_blocks() -> None:
    blocks = np.random.default_rng(0).standard_normal((20_000, 64))
    scale = np.abs(blocks).max(axis=1, keepdims=True)
    for levels in (ch02.nf4_levels(), ch02.int4_levels()):
        table = np.array(levels)
        nearest = np.abs((blocks / scale)[..., None] - table).argmin(axis=-1)
        error = blocks - scale * table[nearest]
        assert ch02.relative_error(levels) == pytest.approx(np.sqrt(np.mean(error**2)), rel=0.01)


def test_nf4_rounds_normal_weights_better_than_even_steps() -> None:
    nf4, even = (ch02.relative_error(levels) for levels in (ch02.nf4_levels(), ch02.int4_levels()))
    assert nf4 < even
    assert ch02.relative_error([i / 127 for i in range(-127, 128)]) == pytest.approx(even * 7 / 127, rel=0.01)
    with pytest.raises(ValueError, match="-1 to 1"):
        ch02.relative_error((-1, 0, 0.5))


def test_typical_largest_is_exceeded_by_half_of_the_blocks() -> None:
    blocks = np.random.default_rng(0).standard_normal((20_000, 64))
    assert (np.abs(blocks).max(axis=1) > ch02.typical_largest()).mean() == pytest.approx(0.5, abs=0.02)


def test_what_the_alternative_text_of_the_memory_figure_says() -> None:
    rows = {(row.model, row.method): row for row in ch02.memory_rows()}
    full, lora, qlora = (rows["7 B", name] for name in ("full", "LoRA", "QLoRA"))
    assert [round(row.total / 1e9) for row in (full, lora, qlora)] == [109, 15, 5]
    assert full.optimizer / full.total == pytest.approx(0.75, abs=0.01)
    assert lora.weights / lora.total > 0.9
    assert max(row.total for row in rows.values() if row.method == "QLoRA") < 48e9
    assert rows["13 B", "LoRA"].total < 80e9 < rows["70 B", "LoRA"].total
    assert rows["1.5 B", "full"].total < 80e9 < full.total
