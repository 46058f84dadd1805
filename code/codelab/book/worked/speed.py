"""How fast a step of pretraining is by the ways of computing it, from a record of the kind ``bench-pretraining``.

Not covered: the measurement (``bench.pretraining``) and how fast recorded trainings were
(:func:`codelab.book.worked.base.throughput`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from codelab.book.facts import Facts
from codelab.errors import UserError

_COLUMNS = ("tokens_per_second", "least", "most", "times", "low", "high", "mfu", "gpu_allocated", "loss")


def variants(run: Facts, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row a variant, in the record's order.

    Args:
        run: of kind ``bench-pretraining``.
        names: what each variant is called.

    Returns:
        ``variant``, ``name``, ``rounds``, ``tokens_per_second`` (the median round) with ``least`` and ``most``,
        ``times`` as fast as the first variant with ``low`` and ``high``, ``mfu`` (share), ``gpu_allocated`` (bytes),
        ``loss`` (nats a token, after the warm-up) and ``failed`` (why); None where a variant has none of it.

    Raises:
        UserError: a variant has no name here.
    """
    rows = run.record.tables.get("variants", [])
    if missing := [row["variant"] for row in rows if row["variant"] not in names]:
        raise UserError(f"{run.folder}: variant {missing[0]!r} was given no name")
    return [
        {"variant": row["variant"], "name": names[row["variant"]], "rounds": row["rounds"], "failed": row.get("failed")}
        | {key: row.get(key) for key in _COLUMNS}
        for row in rows
    ]


def changes(run: Facts, pairs: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """How much faster one variant is than another, round by round.

    Args:
        run: of kind ``bench-pretraining``.
        pairs: a name, the variant, and the one that it is held against.

    Returns:
        ``name``, ``value`` (percent more tokens a second, over all rounds in which both took part), ``low`` and
        ``high`` (the least and the most of these rounds), ``rounds``.

    Raises:
        UserError: the two have no round in common.
    """
    cost: dict[str, dict[int, float]] = {}
    for row in run.steps().to_dict("records"):
        cost.setdefault(row["variant"], {})[int(row["round"])] = row["seconds"] / row["tokens"]
    rows: list[dict[str, Any]] = []
    for name, new, old in pairs:
        both = sorted(cost.get(new, {}).keys() & cost.get(old, {}).keys())
        if not both:
            raise UserError(f"{run.folder}: {new} and {old} have no round in common")
        single = [100 * (cost[old][number] / cost[new][number] - 1) for number in both]
        total = 100 * (sum(cost[old][number] for number in both) / sum(cost[new][number] for number in both) - 1)
        rows.append({"name": name, "value": total, "low": min(single), "high": max(single), "rounds": len(both)})
    return rows


def projected(trained: Facts, run: Facts, variant: str) -> dict[str, float]:
    """What a recorded training's tokens would take on one device at a variant's rate.

    Args:
        trained: of kind ``pretrain``.
        run: of kind ``bench-pretraining``.
        variant: its name.

    Returns:
        ``seconds`` at the median round's rate, ``low`` and ``high`` at those of the fastest and slowest round, and
        ``recorded``: seconds of training times devices, as the training took. All without compiling and evaluating.

    Raises:
        UserError: one of the two lacks a metric or the rates' ends.
    """
    tokens, rate = trained.number("tokens"), run.metric(f"{variant}.tokens_per_second")
    if rate.low is None or rate.high is None:
        raise UserError(f"{run.folder}: {variant}.tokens_per_second has no least and most")
    return {
        "seconds": tokens / rate.value,
        "low": tokens / rate.high,
        "high": tokens / rate.low,
        "recorded": trained.phase("train").seconds * trained.number("devices"),
    }
