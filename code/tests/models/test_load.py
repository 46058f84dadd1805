from pathlib import Path

import pytest
import torch

from codelab.errors import UserError
from codelab.models import load_model, scratch
from codelab.models.quantization import inspect
from codelab.models.quantization.config import Quantization

INT8 = Quantization(method="int8")
NF4 = Quantization(method="nf4", compute_dtype="float32")


@pytest.mark.parametrize(
    ("dtype", "quantization"), [("float32", None), ("bfloat16", None), ("float16", INT8), ("float32", NF4)]
)
def test_random_weights_come_in_the_type_that_was_asked_for(dtype: str, quantization: Quantization | None) -> None:
    loaded = load_model("scratch:tiny-llama", dtype, "cpu", quantization)  # type: ignore[arg-type]
    assert loaded.tokenizer is None
    assert loaded.facts.parameters == 90_432
    assert loaded.model.model.embed_tokens.weight.dtype == getattr(torch, dtype)
    assert loaded.model.lm_head.weight is loaded.model.model.embed_tokens.weight
    assert not any(tensor.is_meta for tensor in (*loaded.model.parameters(), *loaded.model.buffers()))
    with torch.inference_mode():
        logits = loaded.model(torch.arange(12)[None]).logits
    assert logits.shape == (1, 12, 256)
    assert torch.isfinite(logits.float()).all()
    assert inspect.quantised(inspect.modules(loaded.model)) == (14 if quantization else 0)


def test_quantised_layers_of_random_weights_keep_the_values_they_were_made_from() -> None:
    layer = torch.nn.Linear(64, 128, bias=False, device="meta")
    for quantization, bound in ((INT8, 0.0006), (NF4, 0.02)):
        torch.manual_seed(3)
        weight = torch.empty(128, 64, dtype=torch.float16).normal_(0, 0.02).float()
        torch.manual_seed(3)
        made = scratch._quantised(layer, torch.float16, torch.device("cpu"), quantization)
        got = made(torch.eye(64, dtype=torch.float16)).float().T
        assert (got - weight).abs().max() < bound


@pytest.mark.parametrize(("name", "billions"), [("llama-1b", 1.2358), ("llama-8b", 8.0303), ("gpt2", 0.1244)])
def test_shapes_have_the_parameters_they_are_named_for(name: str, billions: float) -> None:
    with torch.device("meta"):
        model = scratch.build(name, torch.float16, torch.device("meta"))
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(billions, abs=1e-4)


def test_same_seed_same_weights() -> None:
    one, two, other = (
        load_model("scratch:tiny-gpt2", "float32", "cpu", seed=seed).model.transformer.wte.weight for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_what_is_missing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"expected a folder with config\.json"):
        load_model(f"path:{tmp_path}")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UserError, match="cannot be loaded"):
        load_model(f"path:{tmp_path}")
    with pytest.raises(UserError, match="llama shapes only"):
        load_model("scratch:tiny-gpt2", "float16", "cpu", INT8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="finds no GPU"):
        load_model("scratch:tiny-gpt2", "float16", "cuda")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "bitsandbytes" else object())
    with pytest.raises(UserError, match="bitsandbytes, not installed"):
        load_model("scratch:tiny-llama", "float16", "cpu", INT8)
