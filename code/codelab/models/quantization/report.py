"""From the answers of all variants to the metrics, tables and samples of the record.

Metrics are named ``<variant>.<quantity>``. Not covered: measuring (``worker``) and drawing (``codelab.book``).
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from codelab.models.quantization import inspect
from codelab.models.quantization.stats import LEVEL, bootstrap_ratio, wilson
from codelab.records import Run

if TYPE_CHECKING:
    from codelab.models.quantization.experiment import QuantizeRecipe

_LOADED = (
    "weights_bytes", "embedding_bytes", "quantised_modules", "load_seconds", "load_cpu_peak", "load_cpu_growth",
    "load_gpu_peak", "cpu_after_load", "cpu_growth", "gpu_after_load", "gpu_device_before_load", "gpu_peak",
    "gpu_device_peak", "cpu_peak", "first_call_seconds",
)  # fmt: skip
_UNITS = {"seconds": "s", "bytes": "bytes", "peak": "bytes", "load": "bytes", "growth": "bytes"}
_COMPARED = (
    "weights_bytes",
    "load_seconds",
    "load_cpu_peak",
    "load_gpu_peak",
    "gpu_after_load",
    "gpu_peak",
    "cpu_peak",
    "cpu_growth",
)


def write(recipe: "QuantizeRecipe", run: Run, answers: list[dict[str, Any]]) -> None:
    """Write everything; calling it again replaces what it wrote."""
    run.truncate("samples", 0)
    jobs = {key: (source, variant) for key, source, variant in recipe.jobs()}
    done = [answer for answer in answers if "failed" not in answer]
    for answer in answers:
        if "failed" in answer:
            run.note(f"{answer['key']}: did not fit into the device's memory ({answer['failed']})")
    variants = [_variant_row(answer, *jobs[answer["key"]]) for answer in done]
    run.table("variants", variants)
    for row in variants:
        for name in _LOADED:
            if row[name] is not None:
                run.metric(f"{row['key']}.{name}", row[name], unit=_UNITS.get(name.rpartition("_")[2]))
    _relative(run, variants, _COMPARED, _full_keys(recipe))
    run.table(
        "bytes", [{"key": a["key"], "dtype": kind, "bytes": size} for a in done for kind, size in a["bytes"].items()]
    )
    if recipe.speed:
        _speed(run, done, recipe.speed.repeats, _full_keys(recipe))
    if recipe.quality:
        _quality(run, [answer for answer in done if "documents" in answer], recipe.seeds[0])


def _variant_row(answer: dict[str, Any], source: str, variant: Any) -> dict[str, Any]:
    phases = {phase["name"]: phase for phase in answer["phases"]}
    used = [phase for name, phase in phases.items() if name == "first-call" or name.startswith("generate")]
    chosen = variant.quantization
    return {
        "key": answer["key"],
        "source": source,
        "variant": variant.name,
        "dtype": variant.dtype,
        "method": chosen.method if chosen else None,
        "threshold": chosen.threshold if chosen and chosen.method == "int8" else None,
        "double": chosen.double if chosen and chosen.method != "int8" else None,
        "parameters": answer["facts"]["parameters"],
        "weights_bytes": sum(answer["bytes"].values()),
        "weights_bytes_after_use": sum(answer["bytes_after_use"].values()) if "bytes_after_use" in answer else None,
        "embedding_bytes": answer["embedding_bytes"],
        "quantised_modules": inspect.quantised(answer["modules"]),
        "modules": answer["modules"],
        "load_seconds": phases["load"]["seconds"],
        "load_cpu_peak": phases["load"]["cpu_peak"],
        "load_cpu_growth": phases["load"]["cpu_peak"] - phases["start"]["cpu_peak"],
        "cpu_growth": answer["cpu_after_load"] - phases["start"]["cpu_peak"],
        "load_gpu_peak": phases["load"]["gpu_allocated"],
        "cpu_before_load": phases["start"]["cpu_peak"],
        "cpu_after_load": answer["cpu_after_load"],
        "gpu_after_load": answer["gpu_after_load"],
        "gpu_device_before_load": phases["start"]["gpu_device"],
        "gpu_device_load_peak": phases["load"]["gpu_device"],
        "gpu_peak": _largest(used, "gpu_allocated"),
        "gpu_device_peak": _largest(used, "gpu_device"),
        "cpu_peak": _largest(used, "cpu_peak"),
        "first_call_seconds": phases["first-call"]["seconds"] if "first-call" in phases else None,
        "threads": answer["threads"],
    }


def _full_keys(recipe: "QuantizeRecipe") -> dict[str, str]:
    """Key of the full model for each key."""
    first = recipe.variants[0].name
    return {key: key.removesuffix(variant.name) + first for key, _, variant in recipe.jobs()}


def _relative(
    run: Run, rows: list[dict[str, Any]], names: tuple[str, ...], full: dict[str, str], cell: str = ""
) -> None:
    """Metrics ``<variant>.relative.<quantity>``: the variant's number over the full model's."""
    by_key = {row["key"]: row for row in rows}
    for row in rows:
        base = by_key.get(full[row["key"]])
        for name in names:
            if base is not None and base is not row and base[name] and row[name]:
                run.metric(f"{row['key']}.relative.{name}{cell}", row[name] / base[name], unit="ratio")


def _largest(phases: list[dict[str, Any]], key: str) -> int | None:
    return max((phase[key] for phase in phases if phase[key] is not None), default=None)


def _speed(run: Run, answers: list[dict[str, Any]], repeats: int, full: dict[str, str]) -> None:
    rows = [{"key": answer["key"]} | row for answer in answers for row in answer.get("speed", [])]
    run.table("speed", rows)
    for row in rows:
        cell = f"b{row['batch']}.p{row['prompt_tokens']}"
        for name, unit in (("tokens_per_second", "tokens/s"), ("first_token", "s"), ("next_token", "s")):
            run.metric(
                f"{row['key']}.{name}.{cell}", row[name], low=row[f"{name}_min"], high=row[f"{name}_max"], n=repeats,
                unit=unit, method="median; low and high are the extremes of the repeats",
            )  # fmt: skip
    cells = dict.fromkeys((row["batch"], row["prompt_tokens"]) for row in rows)
    for batch, length in cells:
        chosen = [row for row in rows if (row["batch"], row["prompt_tokens"]) == (batch, length)]
        _relative(run, chosen, ("tokens_per_second", "first_token"), full, f".b{batch}.p{length}")


def _quality(run: Run, answers: list[dict[str, Any]], seed: int) -> None:
    rows, agreements, shown = [], [], []
    for answer in answers:
        key, documents = answer["key"], answer["documents"]
        tails = np.split(np.asarray(answer["divergences"]), np.cumsum([d["tokens"] for d in documents])[:-1])
        for domain in ("all", *dict.fromkeys(document["domain"] for document in documents)):
            chosen = [i for i, document in enumerate(documents) if domain in ("all", document["domain"])]
            row = _domain_row([documents[i] for i in chosen], np.concatenate([tails[i] for i in chosen]), seed)
            rows.append({"key": key, "domain": domain} | row)
            _domain_metrics(run, key if domain == "all" else f"{key}.{domain}", row)
        agreements += [{"key": key} | row for row in answer["agreement"]]
        same = sum(row["prefix"] for row in answer["agreement"][-1:]) * len(answer["continued"])
        share, low, high = wilson(round(same), len(answer["continued"]))
        run.metric(
            f"{key}.exact_match", share, unit="share", low=low, high=high, level=LEVEL, n=len(answer["continued"]),
            method=f"Wilson; greedy continuations identical over {len(answer['agreement'])} tokens",
        )  # fmt: skip
        for name in ("same", "forced"):
            run.metric(f"{key}.{name}", float(np.mean([row[name] for row in answer["agreement"]])), unit="share")
        shown += [{"key": key} | row for row in answer["completions"]]
        for document in documents:
            run.sample(kind="document", variant=key, **document)
        for row in answer["continued"]:
            run.sample(kind="continuation", variant=key, **row)
        if "outliers" in answer:
            run.table("outliers", answer["outliers"])
            run.metric(
                "outlier_features", float(np.mean([row["features"] for row in answer["outliers"]])), unit="share"
            )
            run.metric("outlier_values", float(np.mean([row["values"] for row in answer["outliers"]])), unit="share")
    run.table("quality", rows)
    run.table("agreement", agreements)
    run.table("completions", shown)


def _domain_row(documents: list[dict[str, Any]], divergences: Any, seed: int) -> dict[str, Any]:
    tokens = [document["tokens"] for document in documents]
    row: dict[str, Any] = {"documents": len(documents), "tokens": sum(tokens)}
    row["kl"], row["kl_low"], row["kl_high"] = bootstrap_ratio([d["kl"] for d in documents], tokens, seed)
    row["kl_median"], row["kl_p99"] = (float(q) for q in np.quantile(divergences, [0.5, 0.99]))
    row["agree"], row["agree_low"], row["agree_high"] = bootstrap_ratio([d["agree"] for d in documents], tokens, seed)
    for name in ("nll", "nll_full"):
        value = math.exp(sum(d[name] for d in documents) / sum(tokens))
        row["perplexity" + name.removeprefix("nll")] = value
    ratio = bootstrap_ratio([d["nll"] - d["nll_full"] for d in documents], tokens, seed)
    row["ratio"], row["ratio_low"], row["ratio_high"] = (math.exp(value) for value in ratio)
    return row


def _domain_metrics(run: Run, key: str, row: dict[str, Any]) -> None:
    method = "bootstrap over documents, 4000 draws"
    for name, unit in (("kl", "nats/token"), ("agree", "share"), ("ratio", None)):
        run.metric(
            f"{key}.{'perplexity_ratio' if name == 'ratio' else name}", row[name], low=row[f"{name}_low"],
            high=row[f"{name}_high"], level=LEVEL, n=row["documents"], unit=unit, method=method,
        )  # fmt: skip
    run.metric(f"{key}.kl_p99", row["kl_p99"], unit="nats/token", n=row["tokens"])
    run.metric(f"{key}.perplexity", row["perplexity"], n=row["tokens"])
