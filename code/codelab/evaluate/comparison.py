"""Two records of the same questions, compared task by task.

Not covered: records of other kinds, and records whose questions, prompt or limits differ; these are refused, because a
difference would then not be the model's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from codelab.errors import UserError
from codelab.evaluate.metrics import Estimate
from codelab.evaluate.paired import McNemar, match, mcnemar, paired_difference
from codelab.evaluate.report import GREEDY, counts, task_scores
from codelab.records import Record, read_record, read_samples

SEVERAL = ("dpo", "grpo")
"""Kinds of record that evaluate several models under the conditions of one recipe."""
Models = str | Sequence[str] | None
"""Of a record of several models, the one whose answers count, or those whose scores are averaged task by task."""
_Rows = list[Mapping[str, Any]]
_Samples = Sequence[Mapping[str, Any]]
_SAME = ("questions", "max_new_tokens", "top_p")


@dataclass(frozen=True)
class Comparison:
    """One setting and k: both scores, the second minus the first, and McNemar's test where one completion was made."""

    setting: str
    other_setting: str
    k: int
    first: float
    second: float
    difference: Estimate
    mcnemar: McNemar | None

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` only where the paired interval excludes zero."""
        if not self.difference.excludes_zero():
            return "no difference shown"
        return "better" if self.difference.value > 0 else "worse"

    def row(self) -> dict[str, Any]:
        """Plain values, for a table."""
        flat = {key: value for key, value in asdict(self).items() if key not in {"difference", "mcnemar"}}
        flat |= {"difference": self.difference.value, "low": self.difference.low, "high": self.difference.high}
        if self.mcnemar:
            flat |= asdict(self.mcnemar)
        return flat | {"tasks": self.difference.n, "verdict": self.verdict}


def compare_records(
    first: Path,
    second: Path,
    ks: Sequence[int] | None = None,
    models: tuple[Models, Models] = (None, None),
    without: Collection[int] = (),
) -> list[Comparison]:
    """Compare two finished evaluations.

    Settings of the same name are paired. Where each record has a single sampled setting, these are paired too, since
    each model may have its own best temperature.

    Args:
        first: folder of the base's record.
        second: folder of the other record.
        ks: values of k; None for 1 and what both recipes name.
        models: of each record, whose answers count: needed where a record evaluates :data:`SEVERAL`. Several, the
            trainings of one recipe, are averaged task by task: the interval is then over tasks, for their mean.
        without: ids of tasks that do not count.

    Raises:
        UserError: not evaluations, damaged, not of the same questions, or a task to be left out is not among them.
    """
    records = [read_record(folder) for folder in (first, second)]
    for folder, record, model in zip((first, second), records, models, strict=True):
        kinds = ("evaluate",) if model is None else SEVERAL
        if record.recipe.kind not in kinds:
            expected = " or ".join(repr(kind) for kind in kinds)
            raise UserError(f"{folder}: is a record of kind {record.recipe.kind!r}, expected {expected}")
    _refuse_other_questions(records[0], records[1])
    named = [set(record.recipe.values["k"]) for record in records]
    wanted = sorted({1, *ks} if ks is not None else {1} | (named[0] & named[1]))
    samples = {folder: read_samples(folder) for folder in dict.fromkeys((first, second))}
    left, right = (
        _by_model(folder, record, samples[folder], model, without)
        for folder, record, model in zip((first, second), records, models, strict=True)
    )
    return [
        _compare(name, left[name], other, right[other], k)
        for name, other in _pairs(list(left), list(right))
        for k in wanted
        if k <= min(least for rows in (*left[name], *right[other]) for least in counts(rows)[1].tolist())
    ]


def _by_model(
    folder: Path, record: Record, samples: _Samples, models: Models, without: Collection[int]
) -> dict[str, list[_Rows]]:
    names = [models] if models is None or isinstance(models, str) else list(models)
    groups = [_by_setting(folder, record, samples, name, without) for name in names]
    asked = [setting for setting in groups[0] if all(setting in group for group in groups)]
    return {setting: [group[setting] for group in groups] for setting in asked}


def _scores(models: list[_Rows], k: int) -> dict[int, float]:
    each = [task_scores(rows, k) for rows in models]
    return {task: fmean(scores[task] for scores in each) for task in each[0]}


def _compare(name: str, left: list[_Rows], other: str, right: list[_Rows], k: int) -> Comparison:
    first, second = match(_scores(left, k), _scores(right, k))
    exact = mcnemar(first, second) if name == other == GREEDY and len(left) == len(right) == 1 else None
    return Comparison(
        name, other, k, float(first.mean()), float(second.mean()), paired_difference(first, second), exact
    )


def _pairs(left: list[str], right: list[str]) -> list[tuple[str, str]]:
    pairs = [(name, name) for name in left if name in right]
    sampled = [[name for name in names if name != GREEDY] for names in (left, right)]
    if len(sampled[0]) == len(sampled[1]) == 1 and sampled[0] != sampled[1]:
        pairs.append((sampled[0][0], sampled[1][0]))
    return pairs


def by_setting(
    folder: Path, record: Record, model: str | None = None, without: Collection[int] = ()
) -> dict[str, _Rows]:
    """Completions of the evaluated split by setting, those of one model where the record evaluates several.

    Args:
        folder: of the record.
        record: what is in it.
        model: whose answers count, where there are several.
        without: ids of tasks that do not count.

    Raises:
        UserError: the record has no completion of that model, or none to a task that is to be left out.
    """
    return _by_setting(folder, record, read_samples(folder), model, without)


def _by_setting(
    folder: Path, record: Record, samples: _Samples, model: str | None, without: Collection[int]
) -> dict[str, _Rows]:
    split = record.recipe.values["questions"]["split"]
    groups: dict[str, _Rows] = {}
    left_out = set()
    for row in samples:
        if row.get("split") == split and row.get("variant") == model:
            if row["task_id"] in without:
                left_out.add(row["task_id"])
            else:
                groups.setdefault(row["setting"], []).append(row)
    if unknown := set(without) - left_out:
        raise UserError(f"{folder}: no completion to task {min(unknown)}, which is to be left out")
    if not groups:
        raise UserError(f"{folder}: no completion{f' of model {model!r}' if model else ''} on the split {split!r}")
    return groups


def _refuse_other_questions(first: Record, second: Record) -> None:
    def asked(record: Record) -> dict[str, Any]:
        values = {key: record.recipe.values[key] for key in _SAME}
        # Where the data came from may differ as long as it is the same data.
        values["questions"] = {key: value for key, value in values["questions"].items() if key != "source"}
        return values

    left, right = asked(first), asked(second)
    for key in _SAME:
        if left[key] != right[key]:
            raise UserError(f"the two records differ in {key} ({left[key]} and {right[key]}): not a paired comparison")
    hashes = [{data.name: data.sha256 for data in record.data} for record in (first, second)]
    if all(found.get("mbpp") for found in hashes) and hashes[0]["mbpp"] != hashes[1]["mbpp"]:
        raise UserError("the two records read different data (SHA-256 of mbpp differs)")
