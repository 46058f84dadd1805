import pytest
import torch

from codelab.models import load_model
from codelab.models.quantization import inspect
from codelab.models.quantization.config import Quantization

# tiny-llama by hand: a tied embedding of 256 × 64, five norms of 64, and seven linear layers in each of two blocks.
LINEAR, REST = 2 * (64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 128), 256 * 64 + 5 * 64
ROWS = 2 * (64 + 32 + 32 + 64 + 128 + 128 + 64)


def test_full_model() -> None:
    model = load_model("scratch:tiny-llama", "float16", "cpu").model
    sizes = inspect.bytes_by_dtype(model)
    assert sizes.pop("float16") == 2 * (LINEAR + REST)
    assert sum(sizes.values()) <= 2 * 8 * 4  # rotary frequencies
    assert inspect.embedding_bytes(model) == 2 * 256 * 64
    assert inspect.modules(model)["Linear"] == 15
    assert inspect.quantised(inspect.modules(model)) == 0


def test_int8_holds_one_byte_a_weight_and_a_scale_a_row() -> None:
    model = load_model("scratch:tiny-llama", "float16", "cpu", Quantization(method="int8")).model
    for _ in range(2):  # bitsandbytes moves its tensors around at the first call: the sum must not change
        sizes = inspect.bytes_by_dtype(model)
        assert sizes["int8"] == LINEAR
        assert sizes["float16"] == 2 * REST
        assert sizes["float32"] == pytest.approx(4 * ROWS, abs=2 * 8 * 4)
        model(torch.arange(8)[None])
    assert inspect.modules(model)["Linear8bitLt"] == 14


def test_nf4_holds_half_a_byte_a_weight_and_double_quantisation_shrinks_the_scales() -> None:
    sizes = {}
    for double in (False, True):
        chosen = Quantization(method="nf4", double=double, compute_dtype="float32")
        sizes[double] = inspect.bytes_by_dtype(load_model("scratch:tiny-llama", "float16", "cpu", chosen).model)
    assert sizes[False]["uint8"] == LINEAR // 2
    assert sizes[True]["uint8"] == LINEAR // 2 + LINEAR // 64
    assert sizes[False]["float32"] >= 4 * LINEAR // 64


def test_outliers_are_counted_by_feature_and_by_value() -> None:
    model = load_model("scratch:tiny-llama", "float32", "cpu").model
    with torch.no_grad():
        model.model.layers[0].input_layernorm.weight.zero_()
        model.model.layers[0].input_layernorm.weight[:16] = 1000.0
    rows = {row["layer"]: row for row in inspect.outliers(model, [torch.arange(20)[None]])}
    assert len(rows) == 14
    first = rows["model.layers.0.self_attn.q_proj"]
    assert first["features"] == pytest.approx(16 / 64)
    assert 0.2 < first["values"] <= 16 / 64
    assert first["largest"] > 6
    assert rows["model.layers.1.self_attn.q_proj"]["features"] == 0
