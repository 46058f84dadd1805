"""Mount ``codelab corpus …``; the verbs stand in :mod:`codelab.tasks.corpus.cli`, but for the one that runs programs.

Not covered: what is done; ``codelab.evaluate.tested`` makes the tests.
"""

from pathlib import Path
from typing import Annotated

import typer

from codelab.cli.app import app
from codelab.tasks.corpus.cli import app as corpus

app.add_typer(corpus)


@corpus.command("tests")
def make_tests(
    *,
    pairs: Annotated[Path, typer.Option(help="The corpus's instruction pairs.")] = Path(
        "corpus/instructions.jsonl.zst"
    ),
    out: Annotated[Path, typer.Option(help="Where the pairs with tests go; the counts go beside it, as .json.")] = Path(
        "corpus/tested.jsonl.zst"
    ),
    workers: Annotated[int | None, typer.Option(min=1, help="Sandbox servers; one a core when not given.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first pairs of the file.")] = None,
) -> None:
    """Make tests for instruction pairs by running their own code, in the sandbox, on proposed arguments.

    Pairs whose docstring has examples keep them first. The file has the form of the pairs, for pairs.enlarged and
    prompts.enlarged of a recipe; what no reader would take for a task is left out, and counted.

    Example: codelab corpus tests --pairs corpus/instructions.jsonl.zst --out corpus/tested.jsonl.zst
    """
    from itertools import islice  # noqa: PLC0415 - keeps `codelab --help` quick

    from codelab.errors import UserError  # noqa: PLC0415 - as above
    from codelab.evaluate.tested import make  # noqa: PLC0415 - as above
    from codelab.records.hashing import sha256_file  # noqa: PLC0415 - as above
    from codelab.tasks import instructions  # noqa: PLC0415 - as above
    from codelab.tasks.corpus.files import read_rows, write_json, write_rows  # noqa: PLC0415 - as above

    if not out.name.endswith(".jsonl.zst"):
        raise UserError(f"out {out}: expected a name that ends in .jsonl.zst")
    instructions.load(pairs, limit=limit)  # a damaged file is reported before minutes of work, not after
    rows, counts = make(islice(read_rows(pairs), limit), workers=workers)
    write_rows(out, rows)
    facts = {"pairs_sha256": sha256_file(pairs), "sha256": sha256_file(out), "bytes": out.stat().st_size}
    write_json(out.with_name(f"{out.name.removesuffix('.jsonl.zst')}.json"), counts | facts)
    typer.echo(f"{out}: {counts['tasks']} of {counts['pairs']} pairs have tests, {counts['tests']} in all")
