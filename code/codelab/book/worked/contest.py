"""What the models of one DPO run score, write and cost, start and trained ones side by side, for chapter 8.

Scores, differences and intervals are in the record; seeds' counts are pooled and recorded seconds summed, nothing more.
Not covered: training curves and pairs (:mod:`codelab.book.worked.preferences`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import Markdown, interval
from codelab.book.worked.ch08 import CLASSES, setting, shown
from codelab.book.worked.preferences import SIDES
from codelab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

STAGES = {
    "prepare": ("sample the start for pairs", "judge mutants"),
    "train": ("load the policy", "reference", "train", "look at the policy", "save"),
    "evaluate": ("load an engine", "evaluate"),
}
_PHASES = {
    ("sample", "pairs"): "sample the start for pairs",
    ("execute", "mutants"): "judge mutants",
    ("load_policy", None): "load the policy",
    ("reference", None): "reference",
    ("train", None): "train",
    ("watch", None): "look at the policy",
    ("save", None): "save",
    ("load", None): "load an engine",
    ("warm-up", None): "load an engine",
    ("evaluate", None): "evaluate",
}
_MEMORY = ("cpu_peak", "gpu_allocated", "gpu_device")


def scores(run: Facts, names: Mapping[str, str], key: str = "t0.6", k: int = 10) -> list[dict[str, Any]]:
    """Shares solved: a row a model, greedy and sampled pass@1 and pass@k, each with its interval over tasks as text.

    Args:
        run: a run with arms.
        names: a model's name in the record (``start``, ``dpo-seed0``, ``dpo`` for an arm's mean over seeds) and in the
            book.
        key: the sampling setting.
        k: of pass@k.
    """
    rows = []
    for model, name in names.items():
        row: dict[str, Any] = {"name": name}
        for column, quantity in (("greedy", "greedy.pass@1"), ("one", f"{key}.pass@1"), ("many", f"{key}.pass@{k}")):
            metric = run.metric(f"{model}.{quantity}")
            row[column] = metric.value
            row[f"{column}_ci"] = _ends(metric.low, metric.high)
        rows.append(row)
    return rows


def differences(
    runs: Mapping[str, Facts | tuple[Facts, str]], arm: str = "dpo", digits: int = 1
) -> list[dict[str, Any]]:
    """An arm's paired differences to its start in percentage points: a row a run, setting and k.

    Args:
        runs: by the name that the book gives the model; a run, or a run and one of its arms.
        arm: of the runs that come without one; ``base`` is an arm too.
        digits: of the intervals' text.

    Returns:
        ``name``, ``model``, ``setting``, ``value``, ``low`` and ``high`` over tasks; ``ci`` and ``seeds_ci`` (over
        seeds; None with one seed) as text; ``seeds``, ``tasks``, ``verdict``.
    """
    rows = []
    for model, part in runs.items():
        run, mine = part if isinstance(part, tuple) else (part, arm)
        for row in run.frame("comparison").to_dict("records"):
            if row["model"] != mine:
                continue
            what = f"{setting(row['setting'])}, pass@{row['k']}"
            rows.append(
                {
                    "name": f"{model}: {what}" if len(runs) > 1 else what,
                    "model": model,
                    "setting": what,
                    "value": 100 * row["difference"],
                    "low": 100 * row["low"],
                    "high": 100 * row["high"],
                    "ci": _ends(row["low"], row["high"], digits),
                    "seeds_ci": _ends(row["seeds_low"], row["seeds_high"], digits),
                    "seeds": int(row["seeds"]),
                    "tasks": int(row["tasks"]),
                    "verdict": row["verdict"],
                }
            )
    return rows


def verdicts(run: Facts, table: str = "comparison") -> dict[tuple[str, str, int], str]:
    """The record's verdicts by model, setting and k: against the start, of arms or (``by_seed``) of single models."""
    rows = run.frame(table).to_dict("records")
    return {(row["model"], row["setting"], int(row["k"])): row["verdict"] for row in rows}


def by_seed(run: Facts, names: Mapping[str, str], key: str = "t0.6", k: int = 1) -> list[dict[str, Any]]:
    """Each trained model against its start: a row a model.

    Args:
        run: a run with arms.
        names: what the book calls the models, by their names in the record.
        key: the sampled setting.
        k: of the sampled score.

    Returns:
        ``name``; ``greedy`` and ``sampled`` (paired differences, percentage points), ``greedy_ci`` and ``sampled_ci``
        (text); ``only_start`` and ``only_model`` (tasks that only one of the two solves greedily), ``p_value``
        (McNemar's exact test of these).
    """
    table = {(row["model"], row["setting"], row["k"]): row for row in run.frame("by_seed").to_dict("records")}
    rows = []
    for model, name in names.items():
        greedy, sampled = table[model, "greedy", 1], table[model, key, k]
        row: dict[str, Any] = {"name": name, "only_start": int(greedy["only_start"])}
        row |= {"only_model": int(greedy["only_model"]), "p_value": float(greedy["p_value"])}
        for column, found in (("greedy", greedy), ("sampled", sampled)):
            row |= {column: 100 * found["difference"], f"{column}_ci": _ends(found["low"], found["high"])}
        rows.append(row)
    return rows


def outcomes(
    run: Facts, models: Mapping[str, Sequence[str] | tuple[Facts, Sequence[str]]], key: str, least: float = 0.0
) -> "pd.DataFrame":
    """What became of the completions of several models: a row a model and class, with count and percentage.

    Args:
        run: a run with arms.
        models: the book's name and the record's models that are pooled under it (an arm's seeds); with a run before
            them, they are that run's.
        key: the sampling setting.
        least: leave out classes that reach this share in no model.
    """
    import pandas as pd  # noqa: PLC0415

    count: dict[str, dict[str, int]] = {}
    for label, each in models.items():
        mine = count.setdefault(label, {})
        source, parts = each if isinstance(each, tuple) else (run, each)
        split = source.record.recipe.values["questions"]["split"]
        for part in parts:
            for row in source.frame(f"{part}.failures").to_dict("records"):
                if row["group"] == f"{split} {key}":
                    mine[row["failure"]] = mine.get(row["failure"], 0) + int(row["count"])
    total = {label: sum(mine.values()) for label, mine in count.items()}
    if empty := [label for label, value in total.items() if not value]:
        raise UserError(f"{run.folder}: {empty[0]}: no completions on {split} {key}")
    return pd.DataFrame(
        [
            {
                "class": CLASSES[name],
                "model": label,
                "count": mine.get(name, 0),
                "percent": 100 * mine.get(name, 0) / total[label],
            }
            for name in CLASSES
            if any(mine.get(name, 0) >= max(1, least * total[label]) for label, mine in count.items())
            for label, mine in count.items()
        ]
    )


def costs(run: Facts) -> list[dict[str, Any]]:
    """What a run cost by stage: a row a stage with its repeats, mean and summed seconds, and peak memory.

    Phases that lie inside others (generating and executing inside sampling and evaluating) are left out; loading and
    warming up an engine are one stage.
    """
    found: dict[str, dict[str, Any]] = {}
    group = {stage: part for part, stages in STAGES.items() for stage in stages}
    for phase in run.record.phases:
        stage = _PHASES.get((phase.name, phase.variant)) or _PHASES.get((phase.name, None))
        if stage is None:
            continue
        row = found.setdefault(
            stage, {"stage": stage, "part": group[stage], "models": set(), "seconds": 0.0} | dict.fromkeys(_MEMORY)
        )
        row["models"].add(phase.variant)
        row["seconds"] += phase.seconds
        for name in _MEMORY:
            if (value := getattr(phase, name)) is not None:
                row[name] = max(value, row[name] or 0)
    ordered = [found[stage] for stage in group if stage in found]
    return [row | {"models": (n := len(row["models"])), "each": row["seconds"] / n} for row in ordered]


def changed(run: Facts, before: str, after: str, most_lines: int = 14) -> Markdown:
    """Greedy completions of two models to the same tasks: the first task gained, the first lost, the first kept.

    Args:
        run: a run with arms.
        before: a model, ``start``.
        after: another, ``dpo-seed0``.
        most_lines: longer completions are cut after so many lines, and say so.
    """
    rows: dict[str, dict[int, dict[str, Any]]] = {before: {}, after: {}}
    for row in run.samples():
        if row["variant"] in rows and row.get("setting") == "greedy":
            rows[row["variant"]][row["task_id"]] = row
    kinds: dict[str, list[int]] = {"gained": [], "lost": [], "kept": []}
    for task in sorted(rows[before].keys() & rows[after].keys()):
        was, now = rows[before][task]["passed"], rows[after][task]["passed"]
        if was or now:
            kinds["kept" if was and now else "lost" if was else "gained"].append(task)
    text = ["Chosen by rule: the lowest task id of tasks gained, of tasks lost and of tasks kept, greedy.\n"]
    for kind, tasks in kinds.items():
        if not tasks:
            text.append(f"No task is {kind}.\n")
            continue
        text.append(f"The first task {kind}, of {len(tasks)}:\n")
        for model, when in ((before, "before"), (after, "after")):
            text.append(shown(rows[model][tasks[0]], f" {when} DPO", most_lines))
    return Markdown("\n".join(text))


def pair(run: Facts, chosen: str, rejected: str, most_lines: int = 14) -> Markdown:
    """The pair with the lowest task id of one kind, chosen program first.

    Args:
        run: a DPO run.
        chosen: source of the chosen side, ``own`` or ``reference``.
        rejected: source of the rejected side, ``own`` or ``mutant``.
        most_lines: longer programs are cut after so many lines, and say so.

    Raises:
        UserError: there is no such pair.
    """
    found = [
        row
        for row in run.samples()
        if row["variant"] == "pair" and (row["chosen_source"], row["rejected_source"]) == (chosen, rejected)
    ]
    if not found:
        raise UserError(f"{run.folder}: no pair of {chosen} over {rejected}")
    row = min(found, key=lambda one: (int(one["task_id"]), str(one["rejected"])))
    parts = []
    for side, failure in (("chosen", "none"), ("rejected", row["failure"])):
        program = {"task_id": row["task_id"], "text": row[side], "detail": "", "failure": failure}
        parts.append(shown(program, f" ({side}, {SIDES[row[f'{side}_source']]})", most_lines))
    return Markdown("\n".join(parts))


def _ends(low: float | None, high: float | None, digits: int = 1) -> str | None:
    """Ends of an interval of shares, in per cent without the sign."""
    if low is None or high is None or low != low:  # noqa: PLR0124 - NaN is the one value unlike itself
        return None
    return str(interval(100 * low, 100 * high, f".{digits}f"))
