"""``codelab evaluate``: an evaluation recipe on a model named on the command line."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from codelab.cli import complete
from codelab.cli.app import app
from codelab.cli.registry import load
from codelab.cli.run import Notes, check_machine, execute
from codelab.errors import UserError
from codelab.evaluate.recipe import EvaluateRecipe
from codelab.records import parse_recipe, read_yaml


@app.command("evaluate")
def evaluate(
    recipe: Annotated[
        Path,
        typer.Option(
            help="An evaluation recipe, for example recipes/evaluate-smollm2-135m-cpu.yaml.",
            autocompletion=complete.recipes,
        ),
    ],
    model: Annotated[
        str | None, typer.Option(help="hub:owner/name, path:folder or pypi:smollm2-135m; default: the recipe's.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Where records go.")] = Path("results"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over instead of continuing a killed run.")] = False,
    stop_after: Annotated[
        float | None, typer.Option(help="Seconds after which the run pauses; the same command continues it.")
    ] = None,
    *,
    note: Notes = None,
) -> None:
    """Answer MBPP with a model and judge every completion.

    With --model the record goes to results/RECIPE-MODEL/, so that records of several models stay apart.

    Example: codelab evaluate --model pypi:smollm2-135m --recipe recipes/evaluate-smollm2-135m-cpu.yaml
    """
    loaded = load(recipe)
    if not isinstance(loaded.recipe, EvaluateRecipe):
        raise UserError(f"recipe {recipe}: kind: expected evaluate, got {loaded.recipe.kind!r}")
    if model is not None and model != loaded.recipe.answers.model:
        values = read_yaml(recipe)
        values["answers"] = {**values["answers"], "model": model}
        changed = parse_recipe(recipe, values, EvaluateRecipe)
        loaded = replace(loaded, name=f"{loaded.name}-{slug(model)}", recipe=changed)
    check_machine(loaded)
    execute(loaded, results, fresh=fresh, stop_after=stop_after, notes=note or ())


def slug(model: str) -> str:
    """A model source as part of a folder's name: its last part, plain characters only."""
    return re.sub(r"[^a-z0-9.]+", "-", re.split(r"[:/]", model.rstrip("/"))[-1].lower()).strip("-.")
