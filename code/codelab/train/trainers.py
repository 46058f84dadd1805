"""The seam between trainers: what loads the policy and makes it trainable.

``trl`` trains what transformers loads. ``unsloth`` loads the same weights through its own classes; it replaces parts of
transformers, trl and peft when it is imported and again at every load, so it is imported first and is best given a
process of its own (:func:`needs_own_process`). Either way trl's trainer trains. What unsloth would decide otherwise is
set here, so that the two sides differ in code and not in settings:

- gradient checkpointing, on by default ("unsloth", with offloading), is off;
- weights: float32 for full fine-tuning; ``full_finetuning`` takes unsloth's generic, compiled path for every model. Its
  own LoRA kernels exist for some families (Llama is one) and only over weights in 16 bits;
- a float32 model would be trained under bf16 autocast without a word: :func:`precision_kept`;
- a pad token that equals the end token would be replaced: :func:`codelab.models.padding.own_padding` chooses first;
- generated code and compiled kernels go to the cache, not into the working folder.

Written against unsloth 2026.10.7. Not covered: the training itself (``codelab.train.dpo_loop``), quantised weights.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from codelab.errors import UserError
from codelab.models.load import load_model, pick_device
from codelab.models.padding import own_padding
from codelab.models.smollm2 import cache_folder
from codelab.train.sft import Adapter

TrainerName = Literal["trl", "unsloth"]
Weights = Literal["float32", "bfloat16"]
Precision = Literal["bf16", "tf32", "fp32"]
_BEFORE = ("transformers", "trl", "peft")


def require(trainer: TrainerName) -> None:
    """Check, before any work and without importing it, that a trainer is there.

    Raises:
        UserError: unsloth or the GPU that it needs is missing.
    """
    packages = {"trl": ("torch", "trl", "peft", "datasets"), "unsloth": ("unsloth", "unsloth_zoo")}[trainer]
    if absent := [name for name in packages if importlib.util.find_spec(name) is None]:
        remedy = "make setup-gpu, or use trainer: trl" if trainer == "unsloth" else "make setup-train"
        raise UserError(f"trainer {trainer}: needs {', '.join(absent)}, not installed here; run: {remedy}")
    if trainer == "unsloth":
        pick_device("cuda")


def needs_own_process(trainer: TrainerName) -> bool:
    """Whether a trainer changes its process so much that whatever runs there afterwards would be another program."""
    return trainer == "unsloth"


def environment() -> dict[str, str]:
    """What is set before unsloth is imported, unless the environment says otherwise."""
    return {
        "UNSLOTH_DISABLE_STATISTICS": "1",  # else every load asks a hub
        "UNSLOTH_VLLM_NO_FLASHINFER": "1",
        "UNSLOTH_RETURN_LOGITS": "1",  # DPO reads them
        "UNSLOTH_COMPILE_LOCATION": str(cache_folder() / "unsloth"),  # else a folder beside the recipe
    }


def prepare(trainer: TrainerName) -> None:
    """Check that a trainer is there and import it where the order of imports matters.

    Raises:
        UserError: unsloth is not installed, or transformers, trl or peft was imported before it.
    """
    if trainer == "trl":
        return
    require(trainer)
    early = [name for name in _BEFORE if name in sys.modules]
    if early and "unsloth" not in sys.modules:
        raise UserError(f"trainer unsloth: must be imported before {early[0]}; start a fresh process")
    for name, value in environment().items():
        os.environ.setdefault(name, value)
    importlib.import_module("unsloth")


def load_policy(
    trainer: TrainerName,
    source: str,
    length: int,
    adapter: Adapter | None,
    seed: int,
    *,
    weights: Weights = "float32",
) -> tuple[Any, Any, Any]:
    """The policy, its tokenizer, and the adapter that trl is still to add (None where done, or where there is none).

    Args:
        trainer: whose loading.
        source: the starting model.
        length: most tokens of a training row.
        adapter: LoRA instead of full weights.
        seed: of the adapter's first values; the same ones on both sides.
        weights: type of the frozen weights under an adapter, whose own weights are float32; trained weights are
            float32 in any case.

    Raises:
        UserError: the weights cannot be had.
    """
    kind = weights if adapter else "float32"
    if trainer == "trl":
        import torch  # noqa: PLC0415

        loaded = load_model(source, dtype=kind)
        torch.manual_seed(seed)
        return loaded.model, loaded.tokenizer, lora_config(adapter)
    return (*_with_unsloth(str(own_padding(source)), length, adapter, seed, kind), None)


def _with_unsloth(where: str, length: int, adapter: Adapter | None, seed: int, kind: Weights) -> tuple[Any, Any]:
    import torch  # noqa: PLC0415
    from transformers import AutoTokenizer  # noqa: PLC0415 - after unsloth
    from unsloth import FastLanguageModel  # noqa: PLC0415

    model, _ = FastLanguageModel.from_pretrained(
        where,
        max_seq_length=length,
        dtype=getattr(torch, kind),
        load_in_4bit=False,
        load_in_16bit=adapter is not None,
        full_finetuning=adapter is None,
        use_gradient_checkpointing=False,
        use_exact_model_name=True,  # no other weights under a like name
        random_state=seed,
    )
    rows, stored = model.get_input_embeddings().weight.shape[0], _vocabulary(where)
    if stored is not None and rows != stored:
        raise UserError(f"model {where}: unsloth resized its {stored} embeddings to {rows}; give it a pad token first")
    if adapter is not None:
        # Its generic path would look for torch's linear layers by family and find none in GPT-2, whose are Conv1D.
        generic = os.environ.get("UNSLOTH_USE_NEW_MODEL") == "1"
        model = FastLanguageModel.get_peft_model(
            model, r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout,
            target_modules=list(adapter.targets), bias="none", random_state=seed, use_gradient_checkpointing=False,
            **({"finetune_vision_layers": True} if generic else {}),
        )  # fmt: skip
        if not hasattr(model, "peft_config"):  # after a full load in the same process the call above does nothing
            raise RuntimeError("unsloth added no adapter; each model needs a process of its own")
    FastLanguageModel.for_training(model, use_gradient_checkpointing=False)
    return model, AutoTokenizer.from_pretrained(where)  # unsloth edits the one that it returns


def _vocabulary(where: str) -> int | None:
    path = Path(where) / "config.json"
    return int(json.loads(path.read_bytes())["vocab_size"]) if path.exists() else None


@contextmanager
def precision_kept(model: Any, precision: Precision) -> Iterator[None]:
    """While a trainer is made of ``model``: keep unsloth from turning bf16 autocast on where it was not asked for.

    Its trainers do that for every float32 model on a GPU with bf16, unless the model is marked as one that must stay in
    float32. The mark is taken off again afterwards.
    """
    marks = {"_unsloth_forced_float32": True, "_unsloth_full_finetuning": False}
    if precision == "bf16" or not hasattr(model, "_unsloth_full_finetuning"):
        yield
        return
    before = {name: getattr(model, name, None) for name in marks}
    for name, value in marks.items():
        setattr(model, name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            setattr(model, name, old)


def check_settings(trainer: Any, precision: Precision) -> None:
    """See that a trainer does what was asked, whoever patched it.

    Raises:
        RuntimeError: another precision, or gradient checkpointing.
    """
    wanted, got = "bf16" if precision == "bf16" else "no", str(trainer.accelerator.mixed_precision)
    if got != wanted or bool(trainer.args.bf16) != (precision == "bf16") or trainer.args.fp16:
        raise RuntimeError(f"asked for {precision}, but the trainer computes with mixed precision {got!r}")
    ways = {bool(getattr(module, "gradient_checkpointing", False)) for module in trainer.model.modules()}
    if trainer.args.gradient_checkpointing or True in ways:
        raise RuntimeError("gradient checkpointing is on, on one side only: memory and time would not compare")


def lora_config(adapter: Adapter | None) -> Any:
    """PEFT's configuration of an adapter, or None."""
    if adapter is None:
        return None
    from peft import LoraConfig  # noqa: PLC0415

    return LoraConfig(
        r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout, target_modules=list(adapter.targets),
        bias="none", task_type="CAUSAL_LM",
    )  # fmt: skip
