"""Recipe kind ``compare``: recorded evaluations held against one another task by task, kept as a record of its own.

Chapters write "better" only from a paired interval, and read it from here. The evaluations are the newest successful
ones of their recipes, or runs that are named, in the results folder that this record goes to; one model of a ``dpo`` or
``grpo`` record can be a side. Not covered: making them (kinds ``evaluate``, ``dpo``, ``grpo``), and looking at two of
them on the command line (``codelab compare``).
"""

from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from codelab.errors import UserError
from codelab.evaluate.comparison import Comparison, Models, by_setting, compare_records
from codelab.evaluate.metrics import Estimate, wilson
from codelab.evaluate.report import GREEDY
from codelab.measure import Meter
from codelab.records import DataFacts, Recipe, Run, Strict, find_records, read_record
from codelab.records.store import RECORD

SAMPLED = "sampled"
"""Setting of a metric where each model has one temperature, which may be its own; the table says which."""


Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Pair(Strict):
    """Two evaluations by their folders below ``results``; the difference is the second minus the first.

    ``RECIPE`` means its newest success, ``RECIPE/RUN`` one run, which a later one does not replace.
    """

    first: str
    second: str
    first_model: str | Names | None = Field(
        default=None, description="of a record that evaluates several: whose answers; of more than one, averaged a task"
    )
    second_model: str | Names | None = Field(default=None, description="the same of the second record")


class CompareRecipe(Recipe):
    """Which evaluations are compared."""

    kind: Literal["compare"]
    pairs: dict[str, Pair] = Field(min_length=1, description="by the name that metrics begin with")
    device: str | None = Field(default=None, description="part of the device's name, where a recipe ran on several")
    without: list[int] = Field(default=[], description="ids of tasks that count in no pair; the recipe says why")


RECIPE = CompareRecipe


def run(recipe: CompareRecipe, run: Run) -> None:
    """Compare every pair and write metrics and one table.

    Raises:
        UserError: an evaluation is missing, or two do not answer the same questions.
    """
    results = run.folder.parents[1]
    folders = {
        name: newest(results, name, recipe.device)
        for name in dict.fromkeys(name for pair in recipe.pairs.values() for name in (pair.first, pair.second))
    }
    rows = []
    with Meter(run).phase("compare"):
        for name, pair in recipe.pairs.items():
            models = (pair.first_model, pair.second_model)
            found = compare_records(folders[pair.first], folders[pair.second], models=models, without=recipe.without)
            for one in found:
                key = f"{name}.{_setting(one, found)}.pass@{one.k}.difference"
                run.metric(key, **asdict(one.difference), unit="share")
                if one.mcnemar:
                    run.metric(f"{key}.p", one.mcnemar.p_value, n=one.difference.n, method="McNemar, exact")
                rows.append({"pair": name, **one.row()})
            if same := same_greedy(folders[pair.first], folders[pair.second], models, recipe.without):
                run.metric(f"{name}.greedy.identical", **asdict(same), unit="share")
    run.table("comparison", rows)
    for name, folder in folders.items():
        run.data(DataFacts.of_file(name, folder / RECORD, folders=2))


def newest(results: Path, name: str, device: str | None) -> Path:
    """Folder of the newest successful run of a recipe, or of the one run that the name goes on to, ``RECIPE/RUN``.

    Raises:
        UserError: there is none.
    """
    recipe, _, run = name.partition("/")
    good = [
        (record.started, folder)
        for folder, record in find_records(results, recipe)
        if record.state in ({"ok", "stopped"} if run else {"ok"})  # a stopped run has to be named
        and run in {"", folder.name}
        and (device is None or device.lower() in (record.device.name if record.device else "cpu").lower())
    ]
    if not good:
        raise UserError(f"{results / name}: no successful run{f' on {device}' if device else ''} to compare")
    return max(good)[1]


def same_greedy(
    first: Path,
    second: Path,
    models: tuple[Models, Models] = (None, None),
    without: Collection[int] = (),
) -> Estimate | None:
    """Share of greedy completions that are the same text in both records; None where one has none, or several a task.

    It tells whether two records are of the same weights: other weights write other texts, another engine or number
    type mostly the same ones (``codelab.evaluate.agreement``).
    """
    one = [model for model in models if model is None or isinstance(model, str)]
    if len(one) < len(models):
        return None
    texts = [
        {
            row["task_id"]: row["text"]
            for row in by_setting(folder, read_record(folder), model, without).get(GREEDY, ())
            if "text" in row
        }
        for folder, model in zip((first, second), one, strict=True)
    ]
    both = texts[0].keys() & texts[1].keys()
    return wilson(sum(texts[0][task] == texts[1][task] for task in both), len(both)) if both else None


def _setting(one: Comparison, found: list[Comparison]) -> str:
    if one.setting == GREEDY:
        return GREEDY
    return SAMPLED if len({each.setting for each in found} - {GREEDY}) == 1 else one.setting
