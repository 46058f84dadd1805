"""One model's evaluation by two engines, from records of different kinds: seconds, rates and memory side by side.

``evaluate`` records give the evaluated split chunk by chunk, ``dpo`` records as phases of one model; both time the same
loop (``codelab.evaluate.collect``). Sums and quotients are all the arithmetic. Not covered: when a start is paid
(``codelab.book.worked.payback``), scores, which kind ``compare`` has paired, and records of kind ``engines``
(``codelab.book.worked.ch09``).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.worked.sides import alone, completions
from codelab.errors import UserError
from codelab.records import Phase

if TYPE_CHECKING:
    import pandas as pd

_MEMORY = ("cpu_peak", "gpu_allocated", "gpu_device", "gpu_reserved")


def evaluation(run: Facts, model: str | None = None) -> dict[str, Any]:
    """What answering the evaluated split took.

    Args:
        run: of kind ``evaluate``, or of kind ``dpo``.
        model: of a ``dpo`` record, whose answers; None for an ``evaluate`` record.

    Returns:
        ``completions``, ``tokens`` (kept ones), ``load``, ``warm_up``, ``generate`` and ``execute`` in seconds, of the
        last two those on the evaluated split alone; ``rate`` and ``token_rate``, a second; ``length``, tokens a
        completion; ``quickest``, the best rate of tokens in one sampled chunk, None for a ``dpo`` record; peaks in
        bytes, without the device's where the run says that it shared its GPU and without the allocator's of vLLM, whose
        engine is a process of its own; ``alone``.

    Raises:
        UserError: the record has no such model or no such phase, or nothing was generated.
    """
    values = run.record.recipe.values
    quickest = None
    if model is None:
        steps = run.steps()
        mine = steps[steps["split"] == values["questions"]["split"]]
        found: dict[str, Any] = {"completions": int(mine["samples"].sum()), "tokens": int(mine["tokens"].sum())}
        found |= {part: float(mine[f"{part}_seconds"].sum()) for part in ("generate", "execute")}
        sampled = mine[mine["setting"] != "greedy"]
        quickest = float((sampled["tokens"] / sampled["generate_seconds"]).max()) if len(sampled) else None
        peaks = [run.phase("generate")]
    else:
        found = {"completions": completions(run, model), "tokens": int(run.number(f"{model}.generated_tokens"))}
        found |= {part: run.phase(part, model).seconds for part in ("generate", "execute")}
        peaks = [run.phase("evaluate", model)]
    if not (found["completions"] and found["generate"]):
        raise UserError(f"{run.folder}: nothing was generated on the evaluated split")
    starts = {"load": run.phase("load", model), "warm_up": run.phase("warm-up", model)}
    by_itself = alone(run)
    row: dict[str, Any] = found | {key: phase.seconds for key, phase in starts.items()}
    row |= {name: _peak([*starts.values(), *peaks], name) for name in _MEMORY}
    return row | {
        "rate": row["completions"] / row["generate"],
        "token_rate": row["tokens"] / row["generate"],
        "length": row["tokens"] / row["completions"],
        "quickest": quickest,
        "gpu_allocated": None if values["backend"] == "vllm" else row["gpu_allocated"],
        "gpu_device": row["gpu_device"] if by_itself else None,
        "alone": by_itself,
    }


def beside(sides: Mapping[str, Mapping[str, Any]], imports: Mapping[str, float]) -> list[dict[str, Any]]:
    """A row a side for a table, with the seconds from nothing to the first completion.

    Args:
        sides: of :func:`evaluation`, by the name that each is shown under.
        imports: by the same names, seconds of importing that ``load`` leaves out; zero where it counts them.

    Returns:
        The sides with ``name``, ``import``, ``start`` (imports, loading and warm-up), ``total`` (start and generating)
        and ``card``, "alone" or "shared".
    """
    rows = []
    for name, side in sides.items():
        start = imports.get(name, 0.0) + side["load"] + side["warm_up"]
        row = dict(side) | {"name": name, "import": imports.get(name, 0.0), "start": start}
        rows.append(row | {"total": start + side["generate"], "card": "alone" if side["alone"] else "shared"})
    return rows


def bars(rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """Start and generation of each row of :func:`beside`: a frame for ``codelab.book.figures.timeline``."""
    import pandas as pd  # noqa: PLC0415

    parts = {"start": "start from nothing", "generate": "generate"}
    made = [
        {"variant": row["name"], "name": label, "seconds": row[part]} for row in rows for part, label in parts.items()
    ]
    return pd.DataFrame(made, columns=["variant", "name", "seconds"])


def rates(run: Facts, models: Sequence[str]) -> tuple[float, float]:
    """Lowest and highest rate of completions over several models that one run evaluated alike.

    Args:
        run: of kind ``dpo``.
        models: at least one.
    """
    found = [evaluation(run, model)["rate"] for model in models]
    return min(found), max(found)


def seconds(run: Facts, part: str, models: Sequence[str] | None = None) -> float:
    """Seconds of one phase, summed over the models of a run.

    Args:
        run: the run.
        part: name of the phase.
        models: only these; all where left out.

    Raises:
        UserError: the run has no such phase.
    """
    found = [p.seconds for p in run.record.phases if p.name == part and (models is None or p.variant in models)]
    if not found:
        raise UserError(f"{run.folder}: no phase {part!r}")
    return sum(found)


def _peak(phases: list[Phase], column: str) -> int | None:
    return max((value for phase in phases if (value := getattr(phase, column)) is not None), default=None)
