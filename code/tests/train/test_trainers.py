"""The seam between trainers, with a stand-in for unsloth: what it is told, in which order, and what is checked after.

The real one, on a CPU with its kernels off, gave the same losses as trl digit for digit on tiny models.
"""

import importlib.machinery
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from codelab.errors import UserError
from codelab.train import trainers
from codelab.train.sft import Adapter

ADAPTER = Adapter(rank=4, alpha=8, targets=("c_attn", "c_proj", "c_fc"))


@pytest.fixture
def start(tmp_path: Path, tiny_tokenizer: Path) -> str:
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from codelab.train.save import save_model

    config = GPT2Config(vocab_size=320, n_positions=64, n_embd=32, n_layer=1, n_head=2)
    save_model(GPT2LMHeadModel(config), AutoTokenizer.from_pretrained(tiny_tokenizer), tmp_path / "start", "float32")
    return f"path:{tmp_path / 'start'}"


class StandIn:
    """Loads with transformers and remembers what it was told; ``rows`` and ``wraps`` misbehave on demand."""

    told: dict[str, Any]
    rows: int | None = None
    wraps = True

    @classmethod
    def from_pretrained(cls, name: str, **told: Any) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM

        cls.told = {"name": name, **told}
        model = AutoModelForCausalLM.from_pretrained(name, dtype=told["dtype"])
        if cls.rows:
            model.resize_token_embeddings(cls.rows)
        model._unsloth_full_finetuning = told["full_finetuning"]
        return model, "a tokenizer that it edited"

    @classmethod
    def get_peft_model(cls, model: Any, **told: Any) -> Any:
        cls.told |= {"adapter": told}
        if cls.wraps:
            model.peft_config = {"default": told}
        return model

    @classmethod
    def for_training(cls, model: Any, use_gradient_checkpointing: bool) -> None:
        cls.told |= {"for_training": use_gradient_checkpointing}


@pytest.fixture
def unsloth(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[StandIn]:
    module = ModuleType("unsloth")
    module.__spec__ = importlib.machinery.ModuleSpec("unsloth", None)
    stand_in = type("Fresh", (StandIn,), {})
    module.FastLanguageModel = stand_in  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "unsloth", module)
    monkeypatch.setenv("CODELAB_CACHE", str(tmp_path / "cache"))
    return stand_in


def test_full_weights_are_float32_and_nothing_is_checkpointed(start: str, unsloth: Any) -> None:
    model, tokenizer, left = trainers.load_policy("unsloth", start, 48, None, 3, weights="bfloat16")
    assert left is None
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}, "trained weights are never 16 bits"
    assert unsloth.told["full_finetuning"] is True
    assert unsloth.told["use_gradient_checkpointing"] is False
    assert unsloth.told["for_training"] is False
    assert unsloth.told["load_in_4bit"] is False
    assert unsloth.told["use_exact_model_name"] is True
    assert unsloth.told["max_seq_length"] == 48
    assert tokenizer.pad_token_id != tokenizer.eos_token_id, "not the one that unsloth returned"


@pytest.mark.parametrize(("new_path", "more"), [("1", {"finetune_vision_layers": True}), ("0", {})])
def test_adapter_over_16_bits_covers_the_named_layers(
    start: str, unsloth: Any, monkeypatch: pytest.MonkeyPatch, new_path: str, more: dict[str, bool]
) -> None:
    monkeypatch.setenv("UNSLOTH_USE_NEW_MODEL", new_path)
    model, _, left = trainers.load_policy("unsloth", start, 48, ADAPTER, 5, weights="bfloat16")
    assert left is None
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert unsloth.told["full_finetuning"] is False
    assert unsloth.told["adapter"] == {
        "r": 4, "lora_alpha": 8, "lora_dropout": 0.0, "target_modules": ["c_attn", "c_proj", "c_fc"], "bias": "none",
        "random_state": 5, "use_gradient_checkpointing": False, **more,
    }  # fmt: skip


def test_what_unsloth_must_not_do_is_noticed(start: str, unsloth: Any) -> None:
    unsloth.rows = 321
    with pytest.raises(UserError, match="resized its 320 embeddings to 321"):
        trainers.load_policy("unsloth", start, 48, None, 0)
    unsloth.rows, unsloth.wraps = None, False
    with pytest.raises(RuntimeError, match="process of its own"):
        trainers.load_policy("unsloth", start, 48, ADAPTER, 0)


def test_trl_draws_the_same_adapter_for_the_same_seed(start: str) -> None:
    from peft import get_peft_model

    def first_values(seed: int) -> Any:
        torch.randn(7)
        model, _, config = trainers.load_policy("trl", start, 48, ADAPTER, seed, weights="bfloat16")
        wrapped = get_peft_model(model, config)
        trained = {name: p for name, p in wrapped.named_parameters() if p.requires_grad}
        assert {p.dtype for p in trained.values()} == {torch.float32}
        assert {p.dtype for p in wrapped.parameters() if not p.requires_grad} == {torch.bfloat16}
        assert {name.split(".lora_")[0].rpartition(".")[2] for name in trained} == {"c_attn", "c_proj", "c_fc"}
        return next(p for name, p in trained.items() if "lora_A" in name).detach()

    assert torch.equal(first_values(1), first_values(1))
    assert not torch.equal(first_values(1), first_values(2))


def test_float32_is_kept_only_while_the_trainer_is_made() -> None:
    model = SimpleNamespace(_unsloth_full_finetuning=True, _unsloth_forced_float32=False)
    with trainers.precision_kept(model, "tf32"):
        assert (model._unsloth_forced_float32, model._unsloth_full_finetuning) == (True, False)
    assert (model._unsloth_forced_float32, model._unsloth_full_finetuning) == (False, True)
    with trainers.precision_kept(model, "bf16"):
        assert model._unsloth_forced_float32 is False
    plain = SimpleNamespace()
    with trainers.precision_kept(plain, "tf32"):
        assert not vars(plain)


@pytest.mark.parametrize(
    ("precision", "mixed", "bf16", "checkpointed", "fine"),
    [
        ("tf32", "no", False, False, True),
        ("bf16", "bf16", True, False, True),
        ("tf32", "bf16", True, False, False),
        ("fp32", "no", False, True, False),
    ],
)
def test_settings_are_checked_after_patches(
    precision: Any, mixed: str, bf16: bool, checkpointed: bool, fine: bool
) -> None:
    block = torch.nn.Linear(1, 1)
    block.gradient_checkpointing = checkpointed  # type: ignore[assignment]
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(mixed_precision=mixed),
        args=SimpleNamespace(bf16=bf16, fp16=False, gradient_checkpointing=False),
        model=torch.nn.Sequential(block),
    )
    if fine:
        trainers.check_settings(trainer, precision)
    else:
        with pytest.raises(RuntimeError, match=r"mixed precision|checkpointing"):
            trainers.check_settings(trainer, precision)


def test_without_unsloth_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="make setup-gpu, or use trainer: trl") as raised:
        trainers.require("unsloth")
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="make setup-train"):
        trainers.require("trl")


def test_transformers_before_unsloth_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(trainers, "pick_device", lambda device: device)
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    monkeypatch.delitem(sys.modules, "unsloth", raising=False)
    with pytest.raises(UserError, match="before transformers; start a fresh process"):
        trainers.prepare("unsloth")
    trainers.prepare("trl")  # which has no order


def test_environment_is_set_before_the_import(unsloth: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr(trainers, "pick_device", lambda device: device)
    monkeypatch.setenv("UNSLOTH_RETURN_LOGITS", "0")
    for name in trainers.environment():
        if name != "UNSLOTH_RETURN_LOGITS":
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
    trainers.prepare("unsloth")
    assert os.environ["UNSLOTH_COMPILE_LOCATION"] == str(tmp_path / "cache" / "unsloth")
    assert os.environ["UNSLOTH_DISABLE_STATISTICS"] == "1"
    assert os.environ["UNSLOTH_RETURN_LOGITS"] == "0", "the user's own setting stays"
