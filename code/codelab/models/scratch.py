"""Models with random weights, made on the target device: for training from nothing, and for memory and speed by size.

A large model never exists in 32 bits or in host memory: unquantised weights are drawn in their final type on the
device, quantised ones layer by layer, so that the peak is the finished model and one layer in 16 bits. Random weights
have no outlier features and say nothing about quality. Not covered: quantising GPT-2's transposed layers this way.
"""

import shutil
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.models.quantization.config import Quantization

_LLAMA: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "rope_parameters": {"rope_type": "default"}}
# The 1 B and 8 B shapes are those of Llama 3.2 1B and Llama 3.1 8B, without their long-context scaling.
_SHAPES: dict[str, dict[str, Any]] = {
    "llama-1b": {
        "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True, "theta": 500000.0,
        "max_position_embeddings": 8192,
    },
    "llama-8b": {
        "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": False, "theta": 500000.0,
        "max_position_embeddings": 8192,
    },
    "tiny-llama": {
        "vocab_size": 256, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True, "theta": 10000.0,
        "max_position_embeddings": 256,
    },
}  # fmt: skip


def config(name: str) -> Any:
    """Configuration of a shape named in :data:`codelab.models.source.SCRATCH`."""
    from transformers import GPT2Config, LlamaConfig  # noqa: PLC0415

    if name == "gpt2":
        return GPT2Config()
    if name == "tiny-gpt2":
        return GPT2Config(
            vocab_size=256, n_positions=256, n_embd=64, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0
        )
    values = dict(_SHAPES[name])
    rope = {"rope_type": "default", "rope_theta": values.pop("theta")}
    return LlamaConfig(**(_LLAMA | values | {"rope_parameters": rope}))


def build(name: str, dtype: Any, device: Any, quantization: Quantization | None = None, seed: int = 0) -> Any:
    """A causal language model with random weights in ``dtype`` on ``device``.

    Raises:
        UserError: quantisation was asked for a GPT-2 shape.
    """
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    torch.manual_seed(seed)
    if quantization is None:
        with torch.device(device):
            return AutoModelForCausalLM.from_config(config(name), dtype=dtype)
    if "gpt2" in name:
        raise UserError(f"scratch:{name}: random weights can be quantised for llama shapes only")
    from accelerate import init_empty_weights  # noqa: PLC0415

    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(config(name), dtype=dtype)
    _materialise(model, dtype, device, quantization)
    model.tie_weights()
    # As transformers marks what it quantises: PEFT puts its 4-bit or 8-bit adapters on marked models alone.
    setattr(model, "is_loaded_in_8bit" if quantization.method == "int8" else "is_loaded_in_4bit", True)
    return model


def _materialise(model: Any, dtype: Any, device: Any, quantization: Quantization) -> None:
    import torch  # noqa: PLC0415

    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and module is not head:
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], _quantised(module, dtype, device, quantization))
            continue
        for key, value in list(module.named_parameters(recurse=False)):
            made = torch.empty(value.shape, dtype=dtype, device=device)
            made = made.normal_(0, 0.02) if value.dim() > 1 else made.fill_(1)
            setattr(module, key, torch.nn.Parameter(made, requires_grad=False))
        for key, value in list(module.named_buffers(recurse=False)):
            setattr(module, key, value.to(device))


def _quantised(layer: Any, dtype: Any, device: Any, quantization: Quantization) -> Any:
    import bitsandbytes as bnb  # noqa: PLC0415
    import torch  # noqa: PLC0415

    weight = torch.empty(layer.weight.shape, dtype=dtype, device=device).normal_(0, 0.02)
    sizes = (layer.in_features, layer.out_features)
    if quantization.method == "int8":
        made = bnb.nn.Linear8bitLt(
            *sizes, bias=False, has_fp16_weights=False, threshold=quantization.threshold, device="meta"
        )
        values, scales, _ = bnb.functional.int8_vectorwise_quant(weight.to(torch.float16))
        made.weight = bnb.nn.Int8Params(values, requires_grad=False, has_fp16_weights=False, CB=values, SCB=scales)
        return made
    made = bnb.nn.Linear4bit(
        *sizes,
        bias=False,
        compute_dtype=getattr(torch, quantization.compute_dtype),
        compress_statistics=quantization.double,
        quant_type=quantization.method,
        device="meta",
    )
    made.weight = bnb.nn.Params4bit(
        weight,
        requires_grad=False,
        compress_statistics=quantization.double,
        quant_type=quantization.method,
        module=made,
    ).to(weight.device)
    return made


def save(name: str, folder: Path, device: str, seed: int = 0) -> Path:
    """Write random weights in bf16 with a tokenizer of bytes, for tools that read folders.

    The tokenizer has 256 entries, pad, end and every byte that UTF-8 uses, and so fits every shape; its end and pad
    tokens go into the configuration.
    """
    import torch  # noqa: PLC0415

    from codelab.models.load import pick_device  # noqa: PLC0415

    model = build(name, torch.bfloat16, pick_device(device), seed=seed)
    tokenizer = byte_tokenizer()
    for part in (model.config, model.generation_config):
        part.pad_token_id, part.eos_token_id, part.bos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id, None
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    return folder


def byte_tokenizer() -> Any:
    """One token a byte: 0xC0 and 0xC1, which valid UTF-8 never uses, make room for pad and end."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    unused = {"À", "Á"}  # as the byte-level alphabet writes them
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - unused)
    vocabulary = {token: i for i, token in enumerate(["<|pad|>", "<|end|>", *alphabet])}
    raw = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<|pad|>", eos_token="<|end|>")
