"""The pairs of an earlier DPO record, for a run that must train on the same ones.

Sampling again with another engine would give other samples and so other pairs, and a difference between two trainers
would hide among them. So the pairs are read from the record's samples, in its order. The record must have been made
from the same start, prompts, data and settings; what differs is named. Not covered: making pairs (``pairs``).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codelab.errors import UserError
from codelab.records import DataFacts, Record, read_record, read_samples, verify_files
from codelab.records.files import write_atomic
from codelab.records.store import RECORD, SAMPLES
from codelab.train.dpo_recipe import DpoRecipe
from codelab.train.pairs import Candidate, Pair

_SAME = ("model", "questions.prompt", "drawn", "mutants", "pairs", "max_new_tokens")
_COPY = "kept-pairs.json"


def kept_pairs(
    recipe: DpoRecipe, work: Path, length: Callable[[str], int], data: Sequence[DataFacts]
) -> tuple[list[Pair], DataFacts]:
    """The pairs of the record that ``recipe.pairs_from`` names, and the facts about it for the new record.

    They are copied into ``work`` at once: a run that is continued must not change its pairs because a newer record has
    appeared meanwhile.

    Args:
        recipe: of the new run.
        work: its folder for checkpoints.
        length: tokens of a program.
        data: the files of questions that this run reads.

    Raises:
        UserError: no such record, or one that was made otherwise.
    """
    copy = work / _COPY
    if not copy.exists():
        folder, record = newest(Path(str(recipe.pairs_from)), "pairs_from")
        _refuse_other(recipe, folder, record, data)
        rows = [row for row in read_samples(folder) if row.get("variant") == "pair"]
        if not rows:
            raise UserError(f"pairs_from {folder}: its record holds no pairs")
        facts = DataFacts.of_file("pairs", folder / SAMPLES, len(rows), folders=2)
        write_atomic(copy, json.dumps({"facts": facts.model_dump(), "rows": rows}).encode())
    kept = json.loads(copy.read_bytes())
    return [_pair(row, length) for row in kept["rows"]], DataFacts.model_validate(kept["facts"])


def newest(where: Path, key: str) -> tuple[Path, Record]:
    """A record's folder, or the newest successful one of a recipe's folder; its files are checked.

    Raises:
        UserError: there is none, or it is damaged.
    """
    folders = [where] if (where / RECORD).exists() else [path.parent for path in where.glob(f"[!.]*/{RECORD}")]
    found = [(folder, record) for folder in folders if (record := read_record(folder)).state == "ok"]
    if not found:
        raise UserError(f"{key} {where}: no successful record there; run its recipe first: recipes/{where.name}.yaml")
    folder, record = max(found, key=lambda one: one[1].started)
    verify_files(folder, record)
    return folder, record


def _refuse_other(recipe: DpoRecipe, folder: Path, record: Record, data: Sequence[DataFacts]) -> None:
    if record.recipe.kind != "dpo":
        raise UserError(f"pairs_from {folder}: is a record of kind {record.recipe.kind!r}, expected 'dpo'")
    mine = recipe.model_dump(mode="json")
    for key in _SAME:
        here, there = _at(mine, key), _at(record.recipe.values, key)
        if isinstance(here, Mapping) and isinstance(there, Mapping):
            fields = type(getattr(recipe, key)).model_fields  # what later versions added had its default then
            there = {name: field.default for name, field in fields.items()} | dict(there)
        if here != there:
            raise UserError(f"pairs_from {folder}: made with another {key} ({there}, here {here}): not the same pairs")
    if recipe.seeds[0] != record.seeds[0]:
        raise UserError(f"pairs_from {folder}: made with seed {record.seeds[0]}, here {recipe.seeds[0]}")
    hashes = {facts.name: facts.sha256 for facts in record.data}
    for one in data:
        if None not in (one.sha256, hashes.get(one.name)) and one.sha256 != hashes[one.name]:
            raise UserError(f"pairs_from {folder}: made from other data (SHA-256 of {one.name} differs)")


def _at(values: Mapping[str, Any], key: str) -> Any:
    found: Any = values
    for part in key.split("."):
        found = found[part] if isinstance(found, Mapping) and part in found else None
    return found


def _pair(row: Mapping[str, Any], length: Callable[[str], int]) -> Pair:
    chosen = Candidate(row["task_id"], row["chosen"], row["chosen_source"], "none")
    rejected = Candidate(row["task_id"], row["rejected"], row["rejected_source"], row["failure"])
    return Pair(chosen, rejected, length(chosen.program), length(rejected.program))
