import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codelab.measure.estimate import (
    SHAPES,
    ModelShape,
    block_activation_bytes,
    constant_bits,
    kv_cache_bytes,
    training_memory,
    weight_bytes,
)

GB = 1e9
TINY = ModelShape("tiny", layers=2, hidden=8, intermediate=16, heads=2, kv_heads=1, vocabulary=32, tied=True)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("gpt2", 124_439_808),
        ("smollm2-135m", 134_515_008),
        ("qwen2.5-1.5b", 1_543_714_304),
        ("llama-2-7b", 6_738_415_616),
        ("llama-2-13b", 13_015_864_320),
        ("llama-65b", 65_285_660_672),
        ("llama-2-70b", 68_976_648_192),
    ],
)
def test_parameter_counts_are_those_of_the_published_checkpoints(name: str, parameters: int) -> None:
    assert SHAPES[name].parameters == parameters


def test_tiny_model_by_hand() -> None:
    # A block: q 64, k 32, v 32, o 64, three feed-forward matrices of 128, two norms of 8.
    assert TINY.linear_parameters == 2 * (64 + 32 + 32 + 64 + 3 * 128) == 1152
    assert TINY.parameters == 32 * 8 + 1152 + 2 * 16 + 8 == 1448
    # Adapters of rank 2 on q and v: 2 × (8+8) and 2 × (8+4), in two blocks.
    assert TINY.adapter_parameters(2, ("q", "v")) == 2 * (32 + 24)
    # One token: 2 bytes × (6·8 + 2·4 + 4·16) + 4 bytes × 2 heads.
    assert block_activation_bytes(TINY) == 2 * (48 + 8 + 64) + 8


def test_full_training_by_hand() -> None:
    estimate = training_memory(TINY, "full", batch=2, sequence=3, checkpointing=False)
    assert estimate.weights + estimate.master + estimate.gradients + estimate.optimizer == 16 * 1448
    assert estimate.activations == 6 * (2 * 248 + 2 * 2 * 8)
    assert estimate.logits == 6 * 32 * 10
    assert (estimate.adapters, estimate.constants, estimate.workspace) == (0, 0, 0)
    assert estimate.total == sum(estimate.parts().values())


def test_qlora_by_hand() -> None:
    estimate = training_memory(TINY, "qlora", rank=2, targets=("q", "v"), double_quantisation=False)
    assert estimate.weights == 1152 // 2 + 2 * (1448 - 1152)
    assert estimate.constants == 1152 * 4 // 64
    assert estimate.trainable == 112
    assert (estimate.adapters, estimate.gradients, estimate.optimizer) == (448, 448, 896)
    assert estimate.workspace == 2 * 128


def test_double_quantisation_saves_what_its_paper_says() -> None:
    # Dettmers et al. 2023: from 0.5 to 0.127 bit a parameter, 0.373 saved, about 3 GB for 65 B.
    assert constant_bits(True) == pytest.approx(0.127, abs=5e-4)
    saved = constant_bits(False) - constant_bits(True)
    assert saved == pytest.approx(0.373, abs=5e-4)
    assert saved / 8 * SHAPES["llama-65b"].parameters == pytest.approx(3 * GB, rel=0.05)


def test_65b_in_16_bits_needs_the_published_780_gb_and_fits_48_gb_with_qlora() -> None:
    shape = SHAPES["llama-65b"]
    full = training_memory(shape, "full", precision="bf16")
    assert full.weights + full.gradients + full.optimizer == pytest.approx(780 * GB, rel=0.01)
    assert full.total > 780 * GB
    # That paper's setting: rank 64 on every linear layer, 16-bit adapters, checkpointing, sequences of 512.
    adapted = training_memory(shape, "qlora", rank=64, adapter_bytes=2, sequence=512)
    assert 40 * GB < adapted.total < 48 * GB


def test_mixed_precision_costs_16_bytes_a_parameter() -> None:
    # Rajbhandari et al. 2020: 1.5 B parameters need at least 24 GB for states alone.
    shape = SHAPES["qwen2.5-1.5b"]
    estimate = training_memory(shape, "full")
    states = estimate.weights + estimate.master + estimate.gradients + estimate.optimizer
    assert states == 16 * shape.parameters > 24 * GB


@pytest.mark.parametrize("name", ["qwen2.5-1.5b", "llama-2-7b", "llama-2-13b", "llama-2-70b"])
def test_methods_are_ordered(name: str) -> None:
    shape = SHAPES[name]
    full, lora, qlora = (training_memory(shape, method).total for method in ("full", "lora", "qlora"))
    assert full > lora > qlora


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 8),
    sequence=st.integers(1, 4096),
    rank=st.integers(1, 128),
    method=st.sampled_from(["full", "lora", "qlora"]),
)
def test_monotone_in_batch_sequence_and_rank(batch: int, sequence: int, rank: int, method: str) -> None:
    shape = SHAPES["llama-2-7b"]
    base = training_memory(shape, method, batch=batch, sequence=sequence, rank=rank)  # type: ignore[arg-type]
    more = training_memory(shape, method, batch=batch + 1, sequence=sequence + 1, rank=rank + 1)  # type: ignore[arg-type]
    kept = training_memory(shape, method, batch=batch, sequence=sequence, rank=rank, checkpointing=False)  # type: ignore[arg-type]
    assert more.total > base.total
    assert all(more.parts()[part] >= size for part, size in base.parts().items())
    assert kept.activations > base.activations


def test_eager_attention_adds_the_quadratic_term() -> None:
    shape = SHAPES["llama-2-7b"]
    extra = [
        training_memory(shape, "full", sequence=s, checkpointing=False, attention="eager").activations
        - training_memory(shape, "full", sequence=s, checkpointing=False).activations
        for s in (512, 1024)
    ]
    assert extra[0] == 32 * 5 * 32 * 512 * 512
    assert extra[1] == 4 * extra[0]


def test_8bit_optimizer_quarters_the_moments() -> None:
    wide, narrow = (training_memory(TINY, "full", optimizer=name).optimizer for name in ("adamw", "adamw8bit"))
    assert narrow == pytest.approx(wide / 4, rel=0.02)
    assert training_memory(TINY, "full", optimizer="sgd").optimizer == 0


def test_weights_at_rest() -> None:
    shape = SHAPES["smollm2-135m"]
    assert weight_bytes(shape, 16) == 269_030_016
    eight, four, double = (
        weight_bytes(shape, 8),
        weight_bytes(shape, 4),
        weight_bytes(shape, 4, double_quantisation=True),
    )
    assert 269_030_016 > eight > four > double > 100_000_000
    assert weight_bytes(SHAPES["llama-2-7b"], 4) == pytest.approx(4.17 * GB, rel=0.01)


def test_kv_cache_of_llama_2_7b_is_half_a_megabyte_a_token() -> None:
    assert kv_cache_bytes(SHAPES["llama-2-7b"], 1) == 2 * 32 * 4096 * 2 == 524_288
    assert kv_cache_bytes(SHAPES["llama-2-70b"], 1) == 2 * 80 * 1024 * 2


@pytest.mark.parametrize("bad", [{"batch": 0}, {"sequence": 0}, {"method": "lora", "rank": 0}])
def test_sizes_below_one_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        training_memory(TINY, **({"method": "full"} | bad))  # type: ignore[arg-type]


def test_unknown_target_is_refused() -> None:
    with pytest.raises(ValueError, match="names among"):
        training_memory(TINY, "lora", targets=("query",))
