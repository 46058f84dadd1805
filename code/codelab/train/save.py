"""Finished models as transformers folders: safetensors, bf16 unless asked, with the tokenizer's files beside them.

Written to a temporary folder and renamed, so that a folder that exists is whole. Not covered: optimizer state, which is
a checkpoint's (``codelab.train.checkpoint``).
"""

import shutil
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.models.quantization.config import DType

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


def save_model(model: Any, tokenizer: Any, output: str | Path, dtype: DType = "bfloat16") -> Path:
    """Save weights with special token ids in the configuration that match the tokenizer's.

    Args:
        model: a transformers causal language model.
        tokenizer: a transformers tokenizer, or the folder of one, whose files are then copied as they are.
        output: the folder to make; an older one is replaced.
        dtype: of the weights. bf16 has eight bits: it rounds small changes to a bf16 model away.

    Raises:
        UserError: the disk refuses.
    """
    import torch  # noqa: PLC0415
    from transformers import AutoTokenizer, GenerationConfig  # noqa: PLC0415

    folder = Path(tokenizer) if isinstance(tokenizer, str | Path) else None
    loaded = AutoTokenizer.from_pretrained(folder) if folder else tokenizer
    final = Path(output)
    temporary = final.with_name(f".{final.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        ids = {
            "bos_token_id": loaded.bos_token_id,
            "eos_token_id": loaded.eos_token_id,
            "pad_token_id": loaded.pad_token_id,
        }
        for name, value in ids.items():
            setattr(model.config, name, value)
        model.config.use_cache = True
        model.generation_config = GenerationConfig(**ids)
        cast: dict[tuple[int, Any], Any] = {}  # by address: tied tensors stay one tensor, and are written once
        state = {
            key: cast.setdefault((value.data_ptr(), value.shape), value.detach().to(getattr(torch, dtype)))
            for key, value in model.state_dict().items()
        }
        model.config.dtype = getattr(torch, dtype)
        model.save_pretrained(temporary, state_dict=state)
        if folder is None:
            loaded.save_pretrained(temporary)
        for name in TOKENIZER_FILES if folder else ():
            if folder and (folder / name).exists():
                shutil.copy(folder / name, temporary / name)
        if final.exists():
            shutil.rmtree(final)
        temporary.rename(final)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(f"{final}: cannot be written ({error.strerror})") from error
    return final


def write_weights(model: Any, path: Path) -> Path:
    """A model's parameters and buffers as float32 safetensors, shared ones once, under its own names.

    Raises:
        UserError: the disk refuses.
    """
    from safetensors.torch import save_file  # noqa: PLC0415

    kept: dict[int, str] = {}
    tensors = {}
    for name, value in model.state_dict().items():
        if kept.setdefault(value.data_ptr(), name) == name:
            tensors[name] = value.detach().float().cpu().contiguous()
    temporary = path.with_suffix(".tmp")
    try:
        save_file(tensors, temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror})") from error
    return path


def adopt(source: str, weights: Path, output: str | Path) -> Path:
    """Put the weights of :func:`write_weights` into the model that they began as, and save it in float32.

    Args:
        source: that model.
        weights: the file.
        output: the folder to make.

    Raises:
        RuntimeError: the file holds other weights than the model has.
    """
    from safetensors.torch import load_file  # noqa: PLC0415

    from codelab.models.load import load_model  # noqa: PLC0415

    loaded = load_model(source, "float32", "cpu")
    own = loaded.model.state_dict()
    tensors = load_file(weights)
    result = loaded.model.load_state_dict(tensors, strict=False)
    shared = {own[name].data_ptr() for name in tensors if name in own}
    absent = [name for name in result.missing_keys if own[name].data_ptr() not in shared]
    if result.unexpected_keys or absent:
        raise RuntimeError(f"{weights}: not the weights of {source} ({[*result.unexpected_keys, *absent][:3]})")
    return save_model(loaded.model, loaded.tokenizer, output, "float32")
