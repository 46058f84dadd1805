"""Chapter 8's tables and plot frames, reshaped from the records of evaluations, of their comparison and of the judge.

Nothing is computed here but selection, order and names: scores and intervals are in the record. Not covered: the
evaluation (``codelab.evaluate``).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from codelab.book.facts import Facts
from codelab.book.formats import Markdown, interval
from codelab.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

CLASSES = {
    "none": "passes",
    "wrong_value": "wrong value",
    "exception": "exception",
    "missing_name": "missing name",
    "syntax": "syntax error",
    "timeout": "time limit",
    "killed": "killed",
    "sandbox_error": "sandbox fault",
    "prompt_too_long": "prompt too long",
}
UNASKED = "prompt_too_long"
"""The class of tasks that the model was never asked: nothing was written, and nothing can be shown."""
CONDITIONS = {
    "split": "Split of MBPP",
    "tasks": "Tasks",
    "prompt": "Prompt style",
    "tests_shown": "Tests shown in the prompt",
    "stop_rule": "Generation ends at",
    "samples": "Samples a task and temperature",
    "temperatures": "Temperatures",
    "top_p": "Nucleus (top p)",
    "max_new_tokens": "Most new tokens",
    "backend": "Engine",
    "dtype": "Number type",
    "cpu_seconds_at_least": "CPU time a program, at least (s)",
    "wall_seconds": "Real time a program, at least (s)",
    "limits_calibrated": "Limits calibrated on the references",
}


def setting(key: str) -> str:
    """A setting's name in the book: ``greedy``, or ``T = 0.6`` for ``t0.6``."""
    return f"T = {key[1:]}" if key[:1] == "t" and key[1:2].isdigit() else key


def failures(run: Facts, split: str = "test", least: float = 0.0) -> "pd.DataFrame":
    """What became of the completions: a row a setting and class, with count, share and percentage.

    Args:
        run: an evaluation.
        split: the split of MBPP.
        least: leave out classes that reach this share in no setting.
    """
    import pandas as pd  # noqa: PLC0415

    frame = run.frame("failures")
    frame = frame[frame["group"].str.startswith(f"{split} ")]
    keys = [group.partition(" ")[2] for group in dict.fromkeys(frame["group"])]
    found = {(row["group"].partition(" ")[2], row["failure"]): row for row in frame.to_dict("records")}
    present = [
        name for name in CLASSES if any((key, name) in found and found[key, name]["share"] >= least for key in keys)
    ]
    rows = [
        {
            "setting": setting(key),
            "class": CLASSES[name],
            "count": int(found[key, name]["count"]) if (key, name) in found else 0,
            "share": float(found[key, name]["share"]) if (key, name) in found else 0.0,
        }
        for name in present
        for key in keys
    ]
    return pd.DataFrame(rows).assign(percent=lambda table: 100 * table["share"])


def outcomes(runs: Mapping[str, Facts], key: str, split: str = "test", least: float = 0.0) -> "pd.DataFrame":
    """What became of several models' completions at one setting: a row a class and model, as :func:`failures` has them.

    Args:
        runs: evaluations by the name that the plot gives them.
        key: the setting, ``greedy`` or ``t0.6``.
        split: the split of MBPP.
        least: leave out classes that reach this share in no model.
    """
    import pandas as pd  # noqa: PLC0415

    parts = [failures(run, split).assign(model=name) for name, run in runs.items()]
    frame = pd.concat([part[part["setting"] == setting(key)] for part in parts])
    largest = frame.groupby("class")["share"].max()
    every = pd.MultiIndex.from_product(
        [[name for name in CLASSES.values() if largest.get(name, -1) >= least], list(runs)], names=["class", "model"]
    )
    filled = frame.set_index(["class", "model"])[["count", "share", "percent"]].reindex(every, fill_value=0)
    return filled.reset_index()


def compared(run: Facts, pair: str) -> list[dict[str, Any]]:
    """One pair of a ``compare`` record: a row a setting and k, the difference's interval in points as text.

    Returns:
        ``name``, ``first``, ``second`` and ``difference`` as shares, ``ci``, ``tasks`` and ``verdict``.

    Raises:
        UserError: the record has no such pair.
    """
    rows = [row for row in run.frame("comparison").to_dict("records") if row["pair"] == pair]
    if not rows:
        raise UserError(f"{run.folder}: no pair {pair!r}")
    kept = ("first", "second", "difference", "tasks", "verdict")
    return [
        {
            "name": f"{setting(row['setting'])}, pass@{row['k']}",
            **{key: row[key] for key in kept},
            "ci": str(interval(100 * row["low"], 100 * row["high"], "+.1f")),
        }
        for row in rows
    ]


def advantage(run: Facts, evaluator: str, only: str | None = None) -> list[dict[str, float]]:
    """How many times as fast this judge is as another: a row a set of samples and number of workers, smallest first.

    Args:
        run: of kind ``bench``.
        evaluator: the other one's name in the record.
        only: one set of samples; None: all.

    Returns:
        ``ratio``, ``low`` and ``high``.
    """
    rows = [
        row
        for row in run.frame("speed").to_dict("records")
        if row["evaluator"] == evaluator and only in (None, row["set"])
    ]
    kept = [{key: float(row[key]) for key in ("ratio", "low", "high")} for row in rows]
    return sorted(kept, key=lambda row: row["ratio"])


def slowest_share(run: Facts) -> float:
    """The share of the seconds of all references that the one left out of the quick ones takes, by one worker of ours.

    Args:
        run: of kind ``bench``.
    """
    seconds = {
        row["set"]: row["samples"] / row["samples_per_second"]
        for row in run.frame("speed").to_dict("records")
        if row["evaluator"] == "codelab" and row["workers"] == 1
    }
    return float(1 - seconds["quick references"] / seconds["references"])


def conditions(run: Facts) -> list[dict[str, str]]:
    """What the scores depend on: a row a condition."""
    (row,) = run.frame("conditions").to_dict("records")
    return [{"condition": name, "value": _plain(row[key])} for key, name in CONDITIONS.items()]


def measures(run: Facts) -> list[dict[str, Any]]:
    """The sandbox's measures and whether this kernel granted them."""
    return [
        {"measure": row["measure"], "granted": bool(row["granted"])} for row in run.frame("sandbox").to_dict("records")
    ]


WIDTH = 100
"""Characters of a completion's line that are shown."""
RULE = "the greedy completion with the lowest task id in its class"


def example(run: Facts, failure: str, split: str = "test") -> Markdown:
    """The greedy completion with the lowest task id in a class, as a code block under one line that names the task.

    Raises:
        UserError: no greedy completion is in the class.
    """
    rows = [
        row
        for row in run.samples()
        if row["split"] == split and row["setting"] == "greedy" and row["failure"] == failure
    ]
    if not rows:
        raise UserError(f"{run.folder}: no greedy completion of class {failure!r} on the {split} split")
    return shown(min(rows, key=lambda row: int(row["task_id"])))


def examples(run: Facts, split: str = "test", most_lines: int = 18) -> Markdown:
    """One greedy completion of every class that has one, passes first, chosen by :data:`RULE`, which is printed too.

    Args:
        run: an evaluation.
        split: the split of MBPP.
        most_lines: longer completions are cut after so many lines, and say so.
    """
    first: dict[str, dict[str, Any]] = {}
    count: dict[str, int] = {}
    for row in run.samples():
        kind = row["failure"]
        if row["split"] == split and row["setting"] == "greedy" and kind != UNASKED:
            count[kind] = count.get(kind, 0) + 1
            if kind not in first or row["task_id"] < first[kind]["task_id"]:
                first[kind] = row
    blocks = [shown(first[kind], f" (of {count[kind]})", most_lines) for kind in CLASSES if kind in first]
    return Markdown("\n".join([f"Chosen by rule: {RULE}.\n", *blocks]))


def shown(row: Mapping[str, Any], more: str = "", most_lines: int | None = None) -> Markdown:
    """A program as a code block under one line that names task and verdict.

    Args:
        row: ``task_id``, ``text``, ``detail`` and ``failure`` of a sample.
        more: follows the class in the line.
        most_lines: a longer program is cut after so many lines, and says so.
    """
    lines = [line for line in row["text"].strip().splitlines() if not line.startswith("```")]
    if most_lines is not None and len(lines) > most_lines:
        lines = [*lines[:most_lines], f"# … {len(lines) - most_lines} more lines"]
    lines = [line if len(line) <= WIDTH else f"{line[:WIDTH]} …" for line in lines]
    detail = " ".join(row["detail"].strip(" :").replace("`", "'").split())
    kind = CLASSES[row["failure"]]
    verdict = f"{kind}{more} (`{detail}`)" if detail else f"{kind}{more}"
    fence = "`" * (4 if any("```" in line for line in lines) else 3)
    return Markdown(f"Task {row['task_id']}, {verdict}:\n\n{fence}python\n{chr(10).join(lines)}\n{fence}\n")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
