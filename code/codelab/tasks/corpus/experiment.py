"""Recipe kind ``corpus``: check a finished corpus against its card and keep the card's facts as a record.

The corpus itself is too large for the repository; the record says what it holds, where it came from and which bytes it
is. Not covered: building (``codelab corpus build``), and whether the tokens belong to the tokenizer beyond its hash.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from codelab.errors import UserError
from codelab.measure import Meter
from codelab.records import DataFacts, Recipe, Run, sha256_file
from codelab.tasks.corpus.files import read_json

_COUNTS = {"sources_listed": "repositories", "sources_used": "repositories", "files_seen": "files", "files": "files",
           "held_out_files": "files", "instructions": "pairs", "instructions_before_duplicates": "pairs",
           "text_bytes": "bytes", "held_out_text_bytes": "bytes",
           "described_functions_that_need_their_module": "functions"}  # fmt: skip
_DECONTAMINATION = {"files_hit": "files", "files_dropped": "files", "functions_cut": "functions",
                    "bytes_dropped": "bytes", "mbpp_problems_found": "problems",
                    "humaneval_problems_found": "problems"}  # fmt: skip


class CorpusRecipe(Recipe):
    """Where a finished corpus lies."""

    kind: Literal["corpus"]
    corpus: str = Field(description="folder that `codelab corpus build` wrote")
    tokenizer: str | None = Field(default=None, description="folder that `codelab corpus tokenizer` wrote")
    tokens: str | None = Field(default=None, description="folder that `codelab corpus tokenize` wrote")


RECIPE = CorpusRecipe


def run(recipe: CorpusRecipe, run: Run) -> None:
    """Hash every file that the card names, and record the card's facts.

    Raises:
        UserError: no card, a missing file, or a file that is not the one on the card.
    """
    folder = Path(recipe.corpus)
    card = _read(folder / "card.json", "codelab corpus build")
    with Meter(run).phase("verify"):
        verify(folder, card)
    run.data(
        DataFacts(
            name="corpus", source="codelab corpus build", sha256=sha256_file(folder / "card.json"),
            rows=card["totals"]["files"],
        )
    )  # fmt: skip
    for benchmark in card["decontamination"]["benchmarks"]:
        run.data(
            DataFacts(name=Path(benchmark["file"]).name, source="kept out of the corpus", sha256=benchmark["sha256"])
        )
    for values, units, prefix in ((card["totals"], _COUNTS, ""), (card["decontamination"], _DECONTAMINATION, "found.")):
        for name, unit in units.items():
            run.metric(f"{prefix}{name}", values[name], unit=unit)
    for name, rows in tables(card).items():
        run.table(name, rows)
    if recipe.tokenizer:
        report = _read(Path(recipe.tokenizer) / "comparison.json", "codelab corpus tokenizer --gpt2 FOLDER")
        run.table("tokenizers", report["rows"])
        run.data(DataFacts(name="tokenizer", source="codelab corpus tokenizer",
                           sha256=sha256_file(Path(recipe.tokenizer) / "tokenizer.json")))  # fmt: skip
    if recipe.tokens:
        meta = _read(Path(recipe.tokens) / "meta.json", "codelab corpus tokenize")
        for name, split in meta["splits"].items():
            run.metric(f"tokens.{name}", sum(file["tokens"] for file in split["files"]), unit="tokens")
    run.note("The corpus lies outside the repository; its files are named by SHA-256 in the table 'outputs'.")


def verify(folder: Path, card: dict[str, Any]) -> None:
    """Hold every output file against the card.

    Raises:
        UserError: names the first file that is missing or differs.
    """
    for output in card["outputs"]:
        path = folder / output["name"]
        if not path.is_file():
            raise UserError(f"{path}: missing, but the card names it; make it with: codelab corpus build")
        if (digest := sha256_file(path)) != output["sha256"]:
            raise UserError(f"{path}: SHA-256 is {digest}, the card says {output['sha256']}")


def tables(card: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The card's lists and mappings as tables of plain rows, without what is the same in every row."""
    found = card["decontamination"]
    return {
        "rules": [{"rule": name, "value": value} for name, value in card["rules"].items()],
        "filters": [{"filter": name, "files": count} for name, count in card["filters"].items()],
        "licences": card["licences"],
        "groups": card["groups"],
        "sources": [
            {key: row[key] for key in ("repo", "licence", "group", "commit", "left_out", "files", "bytes", "pairs")}
            for row in card["sources"]
        ],
        "contamination": [
            {"rule": rule, "files_hit": count, "files_dropped": found["files_dropped_by_rule"][rule]}
            for rule, count in found["files_hit_by_rule"].items()
        ],
        "found_in_most_files": found["found_in_most_files"],
        "disguises": [
            {**row, "missed_problems": " ".join(row["missed_problems"])} for row in found["disguised_copies"]
        ],
        "outputs": card["outputs"],
    }


def _read(path: Path, make: str) -> Any:
    value = read_json(path)
    if value is None:
        raise UserError(f"{path}: missing or damaged; make it with: {make}")
    return value
