"""Recipe kind ``general-text``: check the general text against its card and keep the card's facts as a record.

The text itself stays outside the repository: it is others' work under several licences, and too large. Not covered:
making it (``codelab corpus general``) and its tokens.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from codelab.errors import UserError
from codelab.measure import Meter
from codelab.records import DataFacts, Recipe, Run
from codelab.tasks.corpus.experiment import verify
from codelab.tasks.corpus.files import read_json


class GeneralRecipe(Recipe):
    """Where the general text lies."""

    kind: Literal["general-text"]
    text: str = Field(description="folder that `codelab corpus general` wrote")


RECIPE = GeneralRecipe


def run(recipe: GeneralRecipe, run: Run) -> None:
    """Hash every file that the card names, and record the card's facts.

    Raises:
        UserError: no card, a missing file, or a file that is not the one on the card.
    """
    folder = Path(recipe.text)
    card = read_json(folder / "card.json")
    if not isinstance(card, dict):
        raise UserError(f"{folder / 'card.json'}: missing or damaged; make it with: codelab corpus general")
    with Meter(run).phase("verify"):
        verify(folder, card)
    run.data(DataFacts.of_file("general text", folder / "card.json", folders=1))
    for output in card["outputs"]:
        name = output["name"].split(".")[0]
        run.metric(f"{name}.rows", output["rows"], unit="probes" if name == "probes" else "documents")
        if "text_bytes" in output:
            run.metric(f"{name}.bytes", output["text_bytes"], unit="bytes")
    for name, count in card["removed"].items():
        run.metric(f"removed.{name}", count, unit="documents" if name.endswith("documents") else "paragraphs")
    for name, count in card["probes"].items():
        run.metric(f"probes.{name}", count, unit="probes")
    run.metric("packages", sum("left_out" not in row for row in card["sources"]), unit="packages")
    columns = ("package", "version", "licence", "part", "deb_bytes", "documents", "train_bytes", "heldout_bytes",
               "sha256", "left_out")  # fmt: skip
    run.table("sources", [{name: row.get(name) for name in columns} for row in card["sources"]])
    run.table("rules", [{"rule": name, "value": value} for name, value in card["rules"].items()])
    run.table("outputs", card["outputs"])
    run.note("The text lies outside the repository; its files are named by SHA-256 in the table 'outputs'.")
