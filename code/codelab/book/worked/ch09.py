"""Chapter 9's tables and plot frames, reshaped from the records of kinds ``engines``, ``dpo`` and ``agreement``.

Nothing is computed here but selection, order, names and shares of a sum: rates, ratios, break-even counts and intervals
are in the records. Not covered: the experiments (``codelab.train.engines``, ``codelab.train.counterparts``).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import interval, show
from codelab.book.worked.ch08 import setting
from codelab.errors import UserError
from codelab.records import Metric

if TYPE_CHECKING:
    import pandas as pd

NAMES = {
    "cudnn": "transformers with cuDNN's attention",
    "transformers": "transformers",
    "vllm": "vLLM",
    "vllm-eager": "vLLM, no graphs",
    "trl": "trl",
    "unsloth": "Unsloth",
    "full": "full weights",
    "lora": "LoRA",
    "gpt2": "GPT-2",
    "smollm2": "SmolLM2-135M",
    "llama-1b": "1.2 B",
    "cold": "cold",
    "warm": "warm",
}
PARTS = {
    "sampler_start": "start sampling",
    "sample": "sample",
    "trainer_start": "start training",
    "train": "train",
    "evaluator_start": "start evaluating",
    "evaluate": "evaluate",
}


def name(key: str | None) -> str:
    """A model, engine, method or kind of start as the book calls it; a cell's key becomes its parts."""
    return ", ".join(NAMES.get(part, part) for part in (key or "").split(".") if part not in {"sample", "train", ""})


def cells(run: Facts, role: str, start: str | None = None) -> list[dict[str, Any]]:
    """A row a process of one role: seconds of its start by phase and its memory; what failed has its reason instead.

    Args:
        run: a record of kind ``engines``.
        role: ``sample`` or ``train``.
        start: ``cold`` or ``warm``; both where left out.
    """
    return [
        row | {"name": name(row["key"]), "model_name": name(row["model"]), "why": row["failed"] or ""}
        for row in _rows(run, "cells")
        if row["role"] == role and start in {None, row["start"]}
    ]


def rates(run: Facts, table: str, length: int | None = None) -> list[dict[str, Any]]:
    """Sampling or training: a row a combination, median rate with the extremes of its repeats as text.

    Args:
        run: a record of kind ``engines``.
        table: ``sampling`` (only the largest count, which was repeated) or ``training``.
        length: of prompt and completion together; all of them where left out.
    """
    rows = [row for row in _rows(run, table) if length in {None, row["length"]}]
    if table == "sampling":
        rows = [row for row in rows if row["count"] == max(other["count"] for other in rows)]
    return [
        row
        | {
            "name": name(row["engine"]),
            "model_name": name(row["model"]),
            "method_name": name(row.get("method")),
            "range": interval(row["tokens_per_second_min"], row["tokens_per_second_max"], ",.0f"),
        }
        for row in rows
    ]


def rate_bars(runs: Sequence[Facts], table: str, length: int) -> "pd.DataFrame":
    """Rates of one length as a frame for :func:`codelab.book.figures.bars`, in thousands of tokens a second.

    Args:
        runs: records of kind ``engines``, one after another.
        table: ``sampling`` or ``training``.
        length: of prompt and completion together.

    Returns:
        Columns ``what`` (model and method), ``name`` (of the engine), ``rate``, ``low`` and ``high``.
    """
    import pandas as pd  # noqa: PLC0415

    made = [
        {
            "what": ", ".join(filter(None, [row["model_name"], row["method_name"]])),
            "name": row["name"],
            "rate": row["tokens_per_second"] / 1000,
            "low": row["tokens_per_second_min"] / 1000,
            "high": row["tokens_per_second_max"] / 1000,
        }
        for run in runs
        for row in rates(run, table, length)
    ]
    return pd.DataFrame(made, columns=["what", "name", "rate", "low", "high"])


def ratios(runs: Sequence[Facts], role: str) -> list[dict[str, Any]]:
    """A row a model, method and length: speed and allocator's peak of the second engine over the first one's.

    Args:
        runs: records of kind ``engines``, one after another.
        role: ``sample`` (only the largest count, which was repeated) or ``train``.
    """
    rows = [row for run in runs for row in _rows(run, "ratios") if (row["count"] is None) == (role == "train")]
    most = {row["model"]: max(r["count"] or 0 for r in rows if r["model"] == row["model"]) for row in rows}
    return [
        row
        | {
            "model_name": name(row["model"]),
            "method_name": name(row["method"]),
            "name": name(row["engine"]),
        }
        for row in rows
        if (row["count"] or 0) == most[row["model"]]
    ]


def ratio(run: Facts, model: str, length: int, method: str | None = None) -> dict[str, Any]:
    """One row of :func:`ratios`: of a sampler where ``method`` is left out, else of a trainer.

    Raises:
        UserError: the record has no such row, because a cell failed for instance.
    """
    for row in ratios([run], "train" if method else "sample"):
        if (row["model"], row["length"], row["method"]) == (model, length, method):
            return row
    raise UserError(f"{run.folder}: no ratio of {model!r}, {method or 'sampling'}, length {length}")


def factorial(run: Facts, model: str, method: str, length: int, start: str = "cold") -> list[dict[str, Any]]:
    """The recipe's job in every combination of sampler and trainer: a row each, seconds by part, of starts, in all."""
    return [
        row
        | {
            "name": f"{name(row['sampling'])} + {name(row['training'])}",
            "method_name": name(row["method"]),
            "starts": sum(row[part] for part in PARTS if part.endswith("_start")),
        }
        for row in _rows(run, "factorial")
        if (row["model"], row["method"], row["length"], row["start"]) == (model, method, length, start)
    ]


def job_bars(run: Facts, model: str, method: str, length: int, start: str = "cold") -> "pd.DataFrame":
    """The same as a frame for :func:`codelab.book.figures.timeline`: a row a combination and part."""
    import pandas as pd  # noqa: PLC0415

    rows = [
        {"variant": row["name"], "name": label, "seconds": row[part]}
        for row in factorial(run, model, method, length, start)
        for part, label in PARTS.items()
    ]
    return pd.DataFrame(rows, columns=["variant", "name", "seconds"])


def memory(run: Facts, keys: Sequence[str], column: str = "gpu_device") -> "pd.DataFrame":
    """Memory over time of some cells, in GB: columns ``name``, ``t``, ``phase`` and ``GB``.

    Args:
        run: a record of kind ``engines``.
        keys: of cells, in the order in which they are shown.
        column: ``gpu_device``, ``gpu_allocated`` or ``cpu``.
    """
    steps = run.steps()
    parts = [steps[steps["cell"] == key] for key in keys]
    import pandas as pd  # noqa: PLC0415

    frame = pd.concat(parts, ignore_index=True)
    if column not in frame:
        frame[column] = float("nan")
    frame = frame.assign(name=frame["cell"].map(name), GB=frame[column].astype(float) / 1e9)
    return frame[["name", "t", "phase", "GB"]].dropna(subset=["GB"]).reset_index(drop=True)


def break_even(run: Facts, start: str | None = None) -> list[dict[str, Any]]:
    """A row a model, length and kind of start: from how many completions on the second engine is done first."""
    return [
        row
        | {
            "model_name": name(row["model"]),
            "name": name(row["engine"]),
            "length_name": "as asked" if row["length"] is None else show(row["length"], ",.0f"),
            "from": "never" if row["completions"] is None else show(row["completions"], ",.0f"),
        }
        for row in _rows(run, "break_even")
        if start in {None, row["start"]}
    ]


def asked(run: Facts) -> list[dict[str, Any]]:
    """Real questions answered until they end: a row a model and sampler, its rate's extremes as text."""
    return [
        row
        | {
            "name": name(row["engine"]),
            "model_name": name(row["model"]),
            "range": interval(row["completions_per_second_min"], row["completions_per_second_max"], ",.0f"),
        }
        for row in _rows(run, "asked")
    ]


def cost_curves(run: Facts, model: str, length: int) -> "pd.DataFrame":
    """Seconds by number of completions of every engine and kind of start: ``name``, ``completions``, ``seconds``."""
    frame = run.frame("curves")
    frame = frame[(frame["model"] == model) & (frame["length"] == length)].copy()
    frame["name"] = frame["engine"].map(name) + ", " + frame["start"]
    return frame.reset_index(drop=True)


def quality(run: Facts, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The scores of this path beside those of its counterpart, ready for a plot of differences, in points.

    Args:
        run: a record of kind ``dpo`` with counterparts.
        names: arms to show; all of them where left out.
    """
    return [
        row
        | {
            "name": f"{row['model']}, {setting(row['setting'])}, pass@{row['k']}",
            "value": 100 * row["difference"],
            "low": 100 * row["low"],
            "high": 100 * row["high"],
        }
        for row in _rows(run, "counterparts")
        if names is None or row["model"] in names
    ]


def _rows(run: Facts, table: str) -> list[dict[str, Any]]:
    run.frame(table)  # a table that is missing is named, with those that are there
    return [dict(row) for row in run.record.tables[table]]


def agreements(runs: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """A row a record of kind ``agreement``: how many greedy texts are the same, and what may part the others.

    Args:
        runs: by the name of the model.

    Returns:
        ``name``, ``dtype``, ``texts``, ``other`` and ``control`` (shares that are identical in the other engine, and in
        the first one with another batch size) with ``other_ci`` and ``control_ci``, ``characters`` (mean of the first
        engine's answers) and ``spacing`` (of numbers at the size of the largest logit, median over first differences).
    """
    rows = []
    for model, run in runs.items():
        lengths = [len(row["first"]) for row in run.samples()]
        row: dict[str, Any] = {"name": model, "dtype": run.record.recipe.values["answers"]["dtype"]}
        for key in ("other", "control"):
            same = run.metric(f"{key}.identical")
            row |= {key: same.value, f"{key}_ci": _ends(same), "texts": same.n}
        row["characters"] = sum(lengths) / len(lengths)
        row["spacing"] = float(run.frame("differences_other")["spacing"].median())
        rows.append(row)
    return rows


def _ends(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        raise UserError("agreement: a share has no interval")
    return str(interval(100 * metric.low, 100 * metric.high, ".1f"))
