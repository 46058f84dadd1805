"""``codelab close``: keep what a run had measured when something outside it ended it for good.

Not covered: continuing a run, which ``codelab run`` does by itself wherever its folder and code are still there.
"""

from pathlib import Path
from typing import Annotated

import typer

from codelab.cli import complete
from codelab.cli.app import app
from codelab.errors import UserError


@app.command("close")
def close(
    partial: Annotated[
        Path,
        typer.Argument(
            help="Folder of an unfinished run, results/RECIPE/.RUN.partial.", autocompletion=complete.partials
        ),
    ],
    why: Annotated[str, typer.Option(help="What ended it, in one sentence; it stands in the record and the run log.")],
) -> None:
    """Make a record of a run that cannot be continued, because its machine is gone for example.

    The record says "stopped". It holds the steps, scores and answers that were on disk; chapters read it only by name.

    Example: codelab close results/q8-sweep-gpt2/.20261123T160218Z-h200.partial --why "The machine was taken back."
    """
    from codelab.records import reopen  # noqa: PLC0415
    from codelab.train.shelf import Shelf, unload  # noqa: PLC0415

    if not why.strip():
        raise UserError("--why: expected a sentence")
    run = reopen(partial)
    if not run.has_results():
        raise UserError(f"{partial}: nothing was measured yet; delete the folder")
    names = sorted(path.name for path in (run.work / "shelves").glob("*") if any(path.iterdir()))
    if names:
        unload(run, [Shelf(run, name) for name in names])
    typer.echo(str(run.finish("stopped", why.strip())))
