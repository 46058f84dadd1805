"""How fast a step of pretraining is: by the ways of computing it, and on two GPUs against one.

The ways come from a record of the kind ``bench-pretraining``, the GPUs from two of one ``pretrain`` recipe. Not
covered: the measurement (``bench.pretraining``) and how fast recorded trainings were
(:func:`codelab.book.worked.base.throughput`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.errors import UserError

if TYPE_CHECKING:
    import numpy as np

WINDOW = 10
"""Steps whose rate is one observation of :func:`scaling`."""
_RESAMPLES = 10_000
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


def by_devices(runs: Sequence[Facts]) -> dict[int, Facts]:
    """The newest successful run on each number of GPUs, the least first; ``runs`` in the order of their start."""
    newest = {int(run.number("devices")): run for run in runs if run.record.state == "ok"}
    return dict(sorted(newest.items()))


def scaling(runs: Sequence[Facts]) -> tuple[list[dict[str, Any]], dict[str, float]] | None:
    """What a second GPU is worth: the newest run of a recipe on one against its newest on two.

    A rate is tokens over seconds of all whole windows of :data:`WINDOW` logged steps but the first, in which kernels
    and links are used for the first time. Intervals are percentiles of a bootstrap over windows, of both runs for the
    efficiency; they speak of the ups and downs within a run, not of other starts or machines.

    Args:
        runs: of one ``pretrain`` recipe, in the order of their start; failed ones do not count.

    Returns:
        A row a number of GPUs (``devices``, ``device``, ``tokens_per_second`` with ``low`` and ``high``,
        ``device_rate``, ``mfu``, ``windows``), and of both ``times`` as fast, ``efficiency`` (share: ``times`` over
        two) with ``low`` and ``high``. None where either run is yet to be made.

    Raises:
        UserError: the two runs had different settings or code, or one logged fewer than three windows.
    """
    import numpy as np  # noqa: PLC0415 - keeps the import of the book's modules quick

    newest = by_devices(runs)
    if not {1, 2} <= newest.keys():
        return None
    one, two = newest[1], newest[2]
    for what, same in (
        ("settings", one.record.recipe.sha256 == two.record.recipe.sha256),
        ("code", one.record.code.sha256 == two.record.code.sha256),
    ):
        if not same:
            raise UserError(f"{two.folder}: other {what} than {one.folder}; a comparison needs the same")
    random, drawn = np.random.default_rng(0), []
    rows: list[dict[str, Any]] = []
    for devices, run in ((1, one), (2, two)):
        windows = _windows(run)
        picked = windows[random.integers(len(windows), size=(_RESAMPLES, len(windows)))].sum(axis=1)
        drawn.append(picked[:, 0] / picked[:, 1])
        rate = float(windows[:, 0].sum() / windows[:, 1].sum())
        low, high = np.percentile(drawn[-1], [2.5, 97.5])
        rows.append(
            {
                "devices": devices, "device": run.record.device.name if run.record.device else run.device,
                "tokens_per_second": rate, "low": float(low), "high": float(high), "device_rate": rate / devices,
                "mfu": run.number("mfu") if "mfu" in run.record.metrics else None, "windows": len(windows),
            }
        )  # fmt: skip
    low, high = np.percentile(drawn[1] / drawn[0] / 2, [2.5, 97.5])
    times = rows[1]["tokens_per_second"] / rows[0]["tokens_per_second"]
    return rows, {"times": times, "efficiency": times / 2, "low": float(low), "high": float(high)}


def _windows(run: Facts) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Tokens and seconds of every whole window but the first: shape (windows, 2)."""
    ends = run.steps()[["tokens", "seconds"]].to_numpy(dtype=float)[WINDOW - 1 :: WINDOW]
    if len(ends) < 4:
        raise UserError(f"{run.folder}: {len(run.steps())} steps; expected at least {4 * WINDOW}")
    found: np.ndarray[Any, np.dtype[np.float64]] = ends[1:] - ends[:-1]
    return found
