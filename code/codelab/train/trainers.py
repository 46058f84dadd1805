"""The seam between trainers: what loads the policy and makes it trainable.

``trl`` trains what transformers loads. ``unsloth`` loads the same weights through its own patched classes; it must be
imported before trl and transformers, so :func:`prepare` comes first of all. Not covered: the training itself, which is
trl's ``DPOTrainer`` in either case (``codelab.train.dpo_loop``).
"""

import importlib.util
import os
import sys
from typing import Any, Literal

from codelab.errors import UserError
from codelab.models.load import load_model, local_folder, pick_device
from codelab.models.source import ModelSource
from codelab.train.sft import Adapter

TrainerName = Literal["trl", "unsloth"]
_QUIET = {"UNSLOTH_DISABLE_STATISTICS": "1", "UNSLOTH_VLLM_NO_FLASHINFER": "1"}


def prepare(trainer: TrainerName) -> None:
    """Check that a trainer is there and import it where the order of imports matters.

    Raises:
        UserError: unsloth is not installed, or transformers was imported before it.
    """
    if trainer == "trl":
        return
    if importlib.util.find_spec("unsloth") is None:
        raise UserError("recipe: trainer: unsloth is not installed here; run: make setup-gpu, or use trainer: trl")
    pick_device("cuda")
    if "transformers" in sys.modules and "unsloth" not in sys.modules:
        raise UserError("recipe: trainer: unsloth must be imported before transformers; start a fresh process")
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    importlib.import_module("unsloth")


def load_policy(
    trainer: TrainerName, source: str, length: int, adapter: Adapter | None, seed: int
) -> tuple[Any, Any, Any]:
    """The policy with float32 weights, its tokenizer, and the adapter that trl is still to add (None where done).

    Args:
        trainer: whose loading.
        source: the starting model.
        length: most tokens of a training row.
        adapter: LoRA instead of full weights.
        seed: of the adapter's first values.

    Raises:
        UserError: the weights cannot be had.
    """
    if trainer == "trl":
        loaded = load_model(source, dtype="float32")
        return loaded.model, loaded.tokenizer, lora_config(adapter)
    import torch  # noqa: PLC0415
    from unsloth import FastLanguageModel  # noqa: PLC0415

    parsed = ModelSource.parse(source)
    folder = parsed.name if parsed.kind == "hub" else str(local_folder(parsed))
    model, tokenizer = FastLanguageModel.from_pretrained(
        folder, max_seq_length=length, dtype=torch.float32, load_in_4bit=False, full_finetuning=adapter is None
    )
    if adapter is not None:
        model = FastLanguageModel.get_peft_model(
            model, r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout,
            target_modules=list(adapter.targets), bias="none", random_state=seed, use_gradient_checkpointing=False,
        )  # fmt: skip
    return model, tokenizer, None


def lora_config(adapter: Adapter | None) -> Any:
    """PEFT's configuration of an adapter, or None."""
    if adapter is None:
        return None
    from peft import LoraConfig  # noqa: PLC0415

    return LoraConfig(
        r=adapter.rank, lora_alpha=adapter.alpha, lora_dropout=adapter.dropout, target_modules=list(adapter.targets),
        bias="none", task_type="CAUSAL_LM",
    )  # fmt: skip
