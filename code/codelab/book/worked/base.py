"""How the base of questions 8 to 10 was made: curves, throughput, data mixes and tokenizers, reshaped from records.

Reads runs of the kinds ``pretrain``, ``sft``, ``evaluate`` and ``compare``. Curves are averaged over equal stretches of
steps, shares become percentage points, and text is counted in bytes; nothing else is computed. Not covered: the
training itself (``codelab.train``) and the corpus (:mod:`codelab.book.worked.ch12`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.worked.ch08 import setting
from codelab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

POINTS = 150
SPLITS = ("train", "validation", "test")


def training_curve(runs: Mapping[str, Facts], points: int = POINTS) -> "pd.DataFrame":
    """Training loss: the mean over each of ``points`` equal stretches of a run's steps.

    Args:
        runs: pretraining or fine-tuning runs by the name that the plot gives them.
        points: stretches; a run of fewer steps keeps every step.

    Returns:
        Columns ``name``, ``step`` (the last of the stretch), ``loss`` (nats a token); for pretraining also ``tokens_m``
        (millions, repeats counted) and ``seconds`` of training, for fine-tuning ``epoch`` (passes over its pairs).
    """
    import pandas as pd  # noqa: PLC0415

    parts = []
    for name, run in runs.items():
        steps = run.steps().dropna(subset=["loss"]).reset_index(drop=True)
        stretch = steps.index * min(points, len(steps)) // len(steps)
        kept = [column for column in ("step", "tokens", "seconds", "epoch") if column in steps]
        part = steps.groupby(stretch).agg({"loss": "mean", **dict.fromkeys(kept, "last")})
        if "tokens" in part:
            part["tokens_m"] = part.pop("tokens") / 1e6
        parts.append(part.assign(name=name))
    return pd.concat(parts, ignore_index=True)


def largest_jump(run: Facts) -> float:
    """The largest rise of the training loss from one logged step to the next, in nats a token."""
    return float(run.steps()["loss"].dropna().diff().max())


def heldout_curve(runs: Mapping[str, Facts]) -> "pd.DataFrame":
    """Held-out loss at every look: ``name``, ``step``, ``tokens_m``, ``seconds``, ``text_mb`` and ``bits`` a byte.

    ``text_mb`` is the text read until then in millions of bytes, which tokenizers can be compared by; it is missing for
    runs that did not record it. The value at the end is the run's metric, taken after its last step.
    """
    import pandas as pd  # noqa: PLC0415

    parts = []
    for name, run in runs.items():
        looks = run.steps().dropna(subset=["heldout_bits_per_byte"])
        each = _metric(run, "text_bytes")
        ratio = each / run.number("tokens") if each is not None else None
        parts.append(
            pd.DataFrame(
                {
                    "name": name,
                    "step": looks["step"],
                    "tokens_m": looks["tokens"] / 1e6,
                    "seconds": looks["seconds"],
                    "text_mb": looks["tokens"] * ratio / 1e6 if ratio else None,
                    "bits": looks["heldout_bits_per_byte"].astype(float),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def throughput(runs: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """A row a pretraining run: devices, tokens, seconds, tokens a second in all and a device, MFU, compilation, memory.

    The rate is over all steps; ``median_rate`` is the median step's, which a few slow steps leave alone.
    """
    rows = []
    for name, run in runs.items():
        devices, rate = int(run.number("devices")), run.number("tokens_per_second")
        rows.append(
            {
                "name": name,
                "device": run.device if devices == 1 else f"{devices} × {run.device.rpartition('× ')[2]}",
                "devices": devices,
                "parameters": run.record.models[0].parameters,
                "tokens": run.number("tokens"),
                "epochs": run.number("epochs"),
                "seconds": run.phase("train").seconds,
                "rate": rate,
                "device_rate": rate / devices,
                "median_rate": float(run.steps()["tokens_per_second"].median()),
                "mfu": _metric(run, "mfu"),
                "compile_seconds": run.phase("compile").seconds,
                "gpu_bytes": run.phase("train").gpu_allocated,
                "bits": run.number("heldout_bits_per_byte"),
                "sittings": run.record.resumed + 1,
            }
        )
    return rows


def tokenizers(runs: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """A row a pretraining run that differs in the tokenizer: what it read, how fast, and the held-out loss a byte.

    Raises:
        UserError: a run did not record how much text it read.
    """
    rows = throughput(runs)
    for row, run in zip(rows, runs.values(), strict=True):
        row["text_bytes"] = run.number("text_bytes")
        row["bytes_per_token"] = row["text_bytes"] / row["tokens"]
        row["text_rate"] = row["text_bytes"] / row["seconds"]
    return rows


def mixes(trained: Mapping[str, Facts], scored: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """A row a fine-tuning run: its data, its loss, and what its model scores.

    Args:
        trained: runs of kind ``sft`` by name.
        scored: evaluations of their models under the same names; other names (the base, say) become rows without
            training, before the others.

    Returns:
        ``name``, ``mbpp`` (times a task is seen), ``instructions`` (pairs), ``steps``, ``epochs``, ``loss`` (of the
        last steps), ``train``, ``validation`` and ``test`` (nats a token of MBPP's reference solutions; None where the
        run did not score them), ``seconds``, ``greedy``, ``setting`` (of the samples), ``one`` and ``ten`` (pass@1 and
        pass@10), each score with ``_low`` and ``_high``.

    Raises:
        UserError: a fine-tuned model has no evaluation, or a model was evaluated at more than one temperature.
    """
    if missing := [name for name in trained if name not in scored]:
        raise UserError(f"data mixes: {missing[0]}: no evaluation of this model was given")
    names = [name for name in scored if name not in trained] + list(trained)
    untrained = dict.fromkeys(("mbpp", "instructions", "pairs", "steps", "epochs", "rate", "loss", *SPLITS, "seconds"))
    return [
        {"name": name} | (training(trained[name]) if name in trained else untrained) | _scores(scored[name])
        for name in names
    ]


def training(run: Facts) -> dict[str, Any]:
    """What a fine-tuning run read and how well it fits: the columns that :func:`mixes` has of it, and its ``rate``."""
    values = run.record.recipe.values
    epochs = values["steps"] * values["batch"] / run.number("pairs")
    pairs = {data.name: data.rows for data in run.record.data}
    return {
        "mbpp": values["mix"]["mbpp_repeats"] * epochs,
        "instructions": pairs.get("instructions", 0),
        "pairs": int(run.number("pairs")),
        "steps": values["steps"],
        "epochs": epochs,
        "rate": values["rate"],
        "loss": run.number("final_loss"),
        **{split: _metric(run, f"loss.{split}") for split in SPLITS},
        "seconds": run.phase("train").seconds,
    }


def gains(run: Facts, quantity: str, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Paired differences of a ``compare`` record in percentage points, for a table or ``figures.differences``.

    Args:
        run: of kind ``compare``.
        quantity: ``"greedy.pass@1"`` or ``"sampled.pass@10"``, say.
        names: the record's pairs in the wanted order, and what each is called.

    Returns:
        ``name``, ``value``, ``low``, ``high`` in percentage points, and ``tasks``.

    Raises:
        UserError: the record lacks a pair or the quantity.
    """
    rows: list[dict[str, Any]] = []
    for key, name in names.items():
        gap = run.metric(f"{key}.{quantity}.difference")
        if gap.low is None or gap.high is None:
            raise UserError(f"{run.folder}: {key}.{quantity}.difference has no interval")
        points = {"value": 100 * gap.value, "low": 100 * gap.low, "high": 100 * gap.high}
        rows.append({"name": name, **points, "tasks": gap.n})
    return rows


def _scores(run: Facts) -> dict[str, Any]:
    frame = run.frame("scores")
    frame = frame[frame["split"] == run.record.recipe.values["questions"]["split"]]
    settings = [key for key in dict.fromkeys(frame["setting"]) if key != "greedy"]
    if len(settings) != 1:
        raise UserError(f"{run.folder}: expected one temperature, got {', '.join(settings) or 'none'}")
    row: dict[str, Any] = {"setting": setting(settings[0])}
    for name, key in (("greedy", "greedy.pass@1"), ("one", f"{settings[0]}.pass@1"), ("ten", f"{settings[0]}.pass@10")):
        metric = run.metric(key)
        row |= {name: metric.value, f"{name}_low": metric.low, f"{name}_high": metric.high}
    return row


def _metric(run: Facts, name: str) -> float | None:
    found = run.record.metrics.get(name)
    return found.value if found else None
