"""``codelab compare``: two evaluation records, task by task."""

import json
from pathlib import Path
from typing import Annotated

import typer

from codelab.cli import complete
from codelab.cli.app import app


@app.command("compare")
def compare(
    first: Annotated[
        Path, typer.Argument(help="Folder of the base's record, results/RECIPE/RUN.", autocompletion=complete.records)
    ],
    second: Annotated[Path, typer.Argument(help="Folder of the other record.", autocompletion=complete.records)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of sentences.")] = False,
) -> None:
    """Is the second model better than the first, on the same tasks?

    Prints the paired difference with its task-level bootstrap interval and, for greedy answers, McNemar's exact test.

    Example: codelab compare results/evaluate-base/RUN results/evaluate-sft/RUN
    """
    from codelab.evaluate.comparison import compare_records  # noqa: PLC0415

    for found in compare_records(first, second):
        if as_json:
            typer.echo(json.dumps(found.row()))
            continue
        name = found.setting if found.setting == found.other_setting else f"{found.setting} → {found.other_setting}"
        gap = found.difference
        line = (
            f"{name} pass@{found.k}: {found.first:.2%} → {found.second:.2%}, difference {100 * gap.value:+.2f} points "
            f"[{100 * gap.low:+.2f}, {100 * gap.high:+.2f}] on {gap.n} tasks: {found.verdict}"
        )
        if found.mcnemar:
            exact = found.mcnemar
            line += f"; McNemar {exact.only_first} vs {exact.only_second}, p = {exact.p_value:.3g}"
        typer.echo(line)
