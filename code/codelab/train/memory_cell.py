"""One cell of kind ``memory``, in a process of its own: load, adapt, take some steps, tell what they took.

The step is that of kind ``adapt``: float32 weights or adapters under bf16 autocast, mean cross entropy of all tokens,
fused AdamW or a paged one, gradients dropped after each step. Not covered: gradient accumulation and data.
"""

import time
from typing import Any

from codelab.measure import Meter
from codelab.measure.estimate import ModelShape, Precision, training_memory
from codelab.measure.peak import Step, step_peak
from codelab.models import load_model
from codelab.models.quantization.config import DType, Quantization
from codelab.train.adapt_loop import make_optimizer

_MODULES = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj", "gate": "gate_proj", "up": "up_proj",
            "down": "down_proj"}  # fmt: skip
_UNTIMED = 2


def measure_cell(payload: dict[str, Any]) -> dict[str, Any]:
    """Measure one cell; see :class:`codelab.train.memory.Cell`.

    Returns:
        ``measured`` (bytes; None without a GPU or where it did not fit), ``predicted``, ``planned``, ``parts``,
        ``moments``, ``seconds`` a step (median, least, most), ``tokens`` a step, ``trainable``, ``failed``, ``phases``
        and ``facts`` of the model.
    """
    import torch  # noqa: PLC0415

    cell, meter = payload["cell"], Meter(variant=payload["key"])
    answer: dict[str, Any] = {"key": payload["key"], "source": payload["source"], **cell}
    answer |= {"targets": " ".join(cell["targets"]), "sequence": payload["sequence"], "failed": None, "measured": None}
    answer |= predict(shape_of(payload["source"]), cell, payload["sequence"])
    answer |= {"facts": {"role": payload["source"], "source": payload["source"]}, "trainable": None}
    try:
        answer |= _measure(payload, meter)
    except torch.OutOfMemoryError as error:
        answer["failed"] = str(error).splitlines()[0]
    return answer | {"phases": [phase.model_dump() for phase in meter.phases]}


def shape_of(source: str) -> ModelShape:
    """The shape of a Llama-shaped source, from its configuration."""
    from transformers import AutoConfig  # noqa: PLC0415

    from codelab.models import ModelSource, local_folder, scratch  # noqa: PLC0415

    parsed = ModelSource.parse(source)
    if parsed.kind == "scratch":
        config = scratch.config(parsed.name)
    else:
        config = AutoConfig.from_pretrained(parsed.name if parsed.kind == "hub" else str(local_folder(parsed)))
    return ModelShape(
        parsed.name, config.num_hidden_layers, config.hidden_size, config.intermediate_size,
        config.num_attention_heads, config.num_key_value_heads, config.vocab_size, tied=config.tie_word_embeddings,
    )  # fmt: skip


def predict(shape: ModelShape, cell: dict[str, Any], sequence: int) -> dict[str, Any]:
    """What a cell should take, before anything is loaded."""
    same = {name: cell[name] for name in ("method", "batch", "checkpointing", "rank", "double_quantisation")}
    targets = tuple(cell["targets"])
    step = Step(**same, sequence=sequence, targets=targets, weights=cell["weights"], optimizer=cell["optimizer"])
    peak = step_peak(shape, step)
    precision: Precision = "bf16" if cell["weights"] == "bfloat16" else "mixed"
    planned = training_memory(shape, **same, sequence=sequence, targets=targets, precision=precision)
    return {"predicted": peak.total, "moment": peak.moment, "planned": planned.total, "parts": peak.parts,
            "moments": peak.moments}  # fmt: skip


def _measure(payload: dict[str, Any], meter: Meter) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    cell, sequence = payload["cell"], payload["sequence"]
    with meter.phase("load"):
        model, facts = _model(payload)
    parameters = [one for one in model.parameters() if one.requires_grad]
    optimizer = make_optimizer(cell["optimizer"], [{"params": parameters}], (0.9, 0.95))
    for group in optimizer.param_groups:
        group["lr"] = payload["rate"]
    generator = torch.Generator().manual_seed(payload["seed"])
    size = (cell["batch"], sequence + 1)
    rows = torch.randint(3, model.config.vocab_size, size, generator=generator).to(model.device)
    seconds = []
    with meter.phase("warm-up"):
        for _ in range(_UNTIMED):
            _step(model, optimizer, rows, cell)
    with meter.phase("step") as phase:
        for _ in range(payload["steps"]):
            began = time.perf_counter()
            _step(model, optimizer, rows, cell)
            seconds.append(time.perf_counter() - began)
    seconds.sort()
    return {
        "measured": phase.gpu_allocated, "device_peak": phase.gpu_device, "facts": facts, "tokens": rows[:, 1:].numel(),
        "seconds": seconds[len(seconds) // 2], "seconds_least": seconds[0], "seconds_most": seconds[-1],
        "trainable": sum(one.numel() for one in parameters),
    }  # fmt: skip


def _model(payload: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    import torch  # noqa: PLC0415

    cell = payload["cell"]
    quantised = None
    if cell["method"] == "qlora":
        quantised = Quantization(method="nf4", double=cell["double_quantisation"], compute_dtype="bfloat16")
    dtype: DType = cell["weights"] if cell["method"] == "full" else "bfloat16"
    loaded = load_model(payload["source"], dtype, payload["device"], quantised, role=payload["source"])
    model = loaded.model
    if cell["method"] != "full":
        from peft import LoraConfig, get_peft_model  # noqa: PLC0415

        torch.manual_seed(payload["seed"])
        targets = [_MODULES[name] for name in cell["targets"]]
        model = get_peft_model(model, LoraConfig(r=cell["rank"], target_modules=targets, task_type="CAUSAL_LM"))
    else:
        model.requires_grad_(True)
    model.train()
    if cell["checkpointing"]:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    return model, loaded.facts.model_dump()


def _step(model: Any, optimizer: Any, rows: Any, cell: dict[str, Any]) -> None:
    import torch  # noqa: PLC0415

    wide = cell["method"] != "full" or cell["weights"] == "float32"
    with torch.autocast(rows.device.type, dtype=torch.bfloat16, enabled=wide):
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), rows[:, 1:].flatten())
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    float(loss.detach())  # waits for the device
