"""What a loaded model holds: bytes by number type, quantised modules, and the outlier features of its activations.

Bytes count each piece of storage once, with the scales that bitsandbytes keeps outside the parameters. Not covered:
the key and value cache and the allocator's rounding, which the measured peaks include.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def bytes_by_dtype(model: Any) -> dict[str, int]:
    """Bytes of weights, buffers and quantisation constants by torch type, e.g. ``{"float16": …, "int8": …}``."""
    storages: dict[int, tuple[str, int]] = {}
    for tensor in _tensors(model):
        if tensor is not None and tensor.numel() and tensor.device.type != "meta":
            key = tensor.untyped_storage().data_ptr()
            storages[key] = (str(tensor.dtype).removeprefix("torch."), tensor.untyped_storage().nbytes())
    sizes: dict[str, int] = defaultdict(int)
    for kind, size in storages.values():
        sizes[kind] += size
    return dict(sorted(sizes.items()))


def embedding_bytes(model: Any) -> int:
    """Bytes of the token embedding and of the head, once where they are tied; bitsandbytes quantises neither."""
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    weights = {layer.weight.data_ptr(): layer.weight for layer in layers if layer is not None}
    return sum(int(weight.nbytes) for weight in weights.values())


def modules(model: Any) -> dict[str, int]:
    """Number of modules with weights by class, e.g. ``{"Linear8bitLt": 210, "Embedding": 1, …}``."""
    counts = Counter(type(m).__name__ for m in model.modules() if next(m.parameters(recurse=False), None) is not None)
    return dict(sorted(counts.items()))


def quantised(counts: dict[str, int]) -> int:
    """How many of :func:`modules` hold quantised weights."""
    return sum(number for name, number in counts.items() if name in {"Linear8bitLt", "Linear4bit"})


def outliers(model: Any, documents: Iterable[Any], threshold: float = 6.0) -> list[dict[str, Any]]:
    """Share of large activations at the input of every linear layer in the blocks, for LLM.int8's rule.

    Args:
        model: an unquantised model with ``torch.nn.Linear`` layers; GPT-2's layers are not counted.
        documents: token ids, each of shape (1, tokens), on the model's device.
        threshold: magnitude from which an input feature counts as an outlier.

    Returns:
        A row a layer: its name, its input width, ``features`` (mean over documents of the share of input features that
        reach the threshold at any token: LLM.int8 multiplies these in 16 bits), ``values`` (share of single values,
        which is that share for one token alone, as in decoding) and ``largest`` (the largest magnitude).
    """
    import torch  # noqa: PLC0415

    seen: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    widths: dict[str, int] = {}

    def hook(name: str) -> Any:
        def look(_: Any, inputs: tuple[Any, ...]) -> None:
            large = inputs[0].detach().abs().flatten(0, -2)
            over = large >= threshold
            seen[name].append((over.any(0).float().mean().item(), over.float().mean().item(), large.max().item()))
            widths[name] = large.shape[-1]

        return look

    head = model.get_output_embeddings()
    layers = {n: m for n, m in model.named_modules() if type(m) is torch.nn.Linear and m is not head}
    handles = [module.register_forward_pre_hook(hook(name)) for name, module in layers.items()]
    try:
        with torch.inference_mode():
            for ids in documents:
                model(ids)
    finally:
        for handle in handles:
            handle.remove()
    return [
        {
            "layer": name,
            "width": widths[name],
            "features": float(np.mean([value[0] for value in values])),
            "values": float(np.mean([value[1] for value in values])),
            "largest": float(max(value[2] for value in values)),
        }
        for name, values in seen.items()
    ]


def _tensors(model: Any) -> Iterator[Any]:
    for module in model.modules():
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            yield tensor.data
            yield getattr(tensor, "SCB", None)
            yield from _state_tensors(getattr(tensor, "quant_state", None))
        state = getattr(module, "state", None)
        yield getattr(state, "CB", None)
        yield getattr(state, "SCB", None)
        yield from _state_tensors(getattr(module, "quant_state", None))


def _state_tensors(state: Any) -> Iterator[Any]:
    if state is not None:
        yield state.absmax
        yield state.code
        yield getattr(state, "offset", None)
        yield from _state_tensors(getattr(state, "state2", None))
