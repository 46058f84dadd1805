"""Chapter 7's tables and plot frames, reshaped from the records of the quantisation experiment.

Selection and order, and one bound on how fast weights were read; ratios and intervals are in the records. Not covered:
the experiment (``codelab.models.quantization``).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import literal

if TYPE_CHECKING:
    import pandas as pd

NAMES = {
    "fp16": "fp16 (full)",
    "fp32": "fp32",
    "bf16": "bf16",
    "int8-t6": "8-bit, threshold 6",
    "int8-t0": "8-bit, threshold 0",
    "nf4": "4-bit nf4",
    "nf4-double": "4-bit nf4, double",
}
MODELS = {"llama-1b": "1.2 B", "llama-8b": "8.0 B"}
H200_BANDWIDTH = 4.8e12  # bytes/s; NVIDIA H200 Tensor Core GPU, datasheet
DOMAINS = {"prose": "prose", "code": "code"}


def name(key: str) -> str:
    """A variant's name in the book; of ``llama-1b.nf4``, the part after the dot."""
    variant = key.rpartition(".")[2]
    return NAMES.get(variant, variant)


def timed(run: Facts) -> "pd.DataFrame":
    """The variants that were timed, with a column ``name``."""
    frame = run.frame("variants")
    frame = frame[frame["first_call_seconds"].notna()].copy()
    frame["name"] = frame["key"].map(name)
    frame["model"] = frame["key"].map(lambda key: MODELS.get(key.partition(".")[0], key.partition(".")[0]))
    return frame.reset_index(drop=True)


def memory_bars(run: Facts) -> "pd.DataFrame":
    """Weights, allocator's peak while loading and while generating, in MB, one row a bar."""
    kinds = {
        "weights_bytes": "weights",
        "load_gpu_peak": "peak while loading",
        "gpu_peak": "peak while generating",
    }
    frame = timed(run).melt(["name"], list(kinds), "kind", "bytes")
    frame["kind"] = frame["kind"].map(kinds)
    frame["MB"] = frame["bytes"].astype(float) / 1e6
    return frame


def speed(run: Facts, quantity: str = "tokens_per_second") -> list[dict[str, Any]]:
    """Median of one quantity: a row a variant, a column a cell (``b8.p32``)."""
    rows: dict[str, dict[str, Any]] = {}
    for row in _rows(run.frame("speed")):
        found = rows.setdefault(row["key"], {"key": row["key"], "name": name(row["key"])})
        found[f"b{row['batch']}.p{row['prompt_tokens']}"] = row[quantity]
    return list(rows.values())


def cells(run: Facts) -> dict[str, str]:
    """The timed cells as column names with headings (``batch 8, 32 tokens``)."""
    frame = run.frame("speed")
    pairs = dict.fromkeys(zip(frame["batch"], frame["prompt_tokens"], strict=True))
    return {f"b{batch}.p{length}": f"{batch} × {length}" for batch, length in pairs}


def speed_bars(run: Facts, length: int) -> "pd.DataFrame":
    """Tokens a second for one prompt length, with the extremes of the repeats."""
    frame = run.frame("speed")
    frame = frame[frame["prompt_tokens"] == length].copy()
    frame["name"] = frame["key"].map(name)
    frame["batch"] = frame["batch"].map(lambda batch: f"batch {batch}")
    return frame


def by_cell(run: Facts, length: int | None = None) -> list[dict[str, float]]:
    """Tokens a second by variant, one mapping a timed cell; of one prompt length where it is given."""
    found: dict[tuple[int, int], dict[str, float]] = {}
    for row in _rows(run.frame("speed")):
        if length in (None, row["prompt_tokens"]):
            found.setdefault((row["batch"], row["prompt_tokens"]), {})[row["key"]] = row["tokens_per_second"]
    return list(found.values())


def by_batch(run: Facts, length: int) -> list[dict[str, float]]:
    """Tokens a second by batch size (``b8``) for one prompt length, one mapping a variant."""
    found: dict[str, dict[str, float]] = {}
    for row in _rows(run.frame("speed")):
        if row["prompt_tokens"] == length:
            found.setdefault(row["key"], {})[f"b{row['batch']}"] = row["tokens_per_second"]
    return list(found.values())


def slowest_repeats(run: Facts) -> list[float]:
    """The slowest repeat of each timed cell, over the cell's median."""
    return [row["tokens_per_second_min"] / row["tokens_per_second"] for row in _rows(run.frame("speed"))]


def spread(run: Facts) -> tuple[float, float]:
    """Largest ratio between the repeats of one timed cell, and between the variants' medians in one."""
    repeats = [row["tokens_per_second_max"] / row["tokens_per_second_min"] for row in _rows(run.frame("speed"))]
    return max(repeats), max(max(cell.values()) / min(cell.values()) for cell in by_cell(run))


def measured(run: Facts, column: str) -> dict[str, float]:
    """One quantity of the timed variants, by variant: ``gpu_device_peak``, say."""
    return {row["key"]: float(row[column]) for row in _rows(timed(run))}


def divergence(run: Facts, domain: str = "all") -> dict[str, float]:
    """Mean divergence from the full model, by variant."""
    return {row["key"]: float(row["kl"]) for row in quality(run, domain)}


def quality(run: Facts, domain: str = "all") -> list[dict[str, Any]]:
    """A row a variant other than the full model: divergence, perplexity ratio and agreement, with intervals."""
    rows = []
    for row in _rows(run.frame("quality")):
        if row["domain"] == domain and row["key"] != "fp16":
            more = {what: run.number(f"{row['key']}.{what}") for what in ("forced", "same", "exact_match")}
            rows.append(row | {"name": name(row["key"])} | more)
    return rows


def divergence_bars(run: Facts) -> "pd.DataFrame":
    """Divergence from the full model by domain, with intervals."""
    frame = run.frame("quality")
    frame = frame[frame["domain"].isin(list(DOMAINS)) & (frame["key"] != "fp16")].copy()
    frame["name"] = frame["key"].map(name)
    return frame.reset_index(drop=True)


def agreement(run: Facts, keys: Sequence[str], column: str = "prefix") -> "pd.DataFrame":
    """Agreement by position of some variants, ready for a line plot (column ``share``)."""
    frame = run.frame("agreement")
    frame = frame[frame["key"].isin(list(keys))].copy()
    frame["name"] = frame["key"].map(name)
    frame["share"] = frame[column]
    return frame


def identical(run: Facts) -> dict[str, float]:
    """Share of continuations still identical, averaged over positions, by variant."""
    frame = run.frame("agreement")
    return {str(key): float(value) for key, value in frame.groupby("key")["prefix"].mean().items()}


def side_by_side(run: Facts, keys: Sequence[str] = ("fp16", "int8-t6", "nf4")) -> list[dict[str, Any]]:
    """The shown prompts with their continuations, as literal text: a row a prompt, a column a variant."""
    frame = run.frame("completions")
    asked = {prompt["name"]: prompt["text"] for prompt in run.record.recipe.values["quality"]["prompts"]}
    rows: dict[str, dict[str, Any]] = {}
    for row in _rows(frame):
        if row["key"] in keys:
            shown = rows.setdefault(row["prompt"], {"prompt": literal(asked[row["prompt"]])})
            shown[row["key"]] = literal(row["completion"])
    return list(rows.values())


def sizes(run: Facts) -> list[dict[str, Any]]:
    """The scaling record: a row a model and variant, memory beside speed in the smallest and the largest cell."""
    fast = {row["key"]: row for row in speed(run)}
    first = {row["key"]: row for row in speed(run, "first_token")}
    ends = list(cells(run))
    return [
        row
        | {"one": fast[row["key"]][ends[0]], "many": fast[row["key"]][ends[-1]], "first": first[row["key"]][ends[0]]}
        for row in _rows(timed(run))
    ]


def read_rate(run: Facts, key: str) -> float:
    """Bytes of weights a second that one sequence with a prompt of 32 tokens reads, at most.

    Every token needs every weight once but those of the input embedding, which are counted here too.
    """
    return run.number(f"{key}.tokens_per_second.b1.p32") * run.number(f"{key}.weights_bytes")


def reading_share(run: Facts, key: str, bandwidth: float = H200_BANDWIDTH) -> float:
    """Share of a token's time that reading the weights once would take at the memory's full ``bandwidth`` (bytes/s)."""
    return read_rate(run, key) / bandwidth


def _rows(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
