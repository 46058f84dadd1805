"""The verbs and the one place where a :class:`~codelab.errors.UserError` becomes a line on stderr and status 2.

Exit status: 0 done, 1 a check failed or a bug, 2 something the user can mend, 75 paused by
``--stop-after`` (the same command continues), 130 interrupted.
"""

import sys
from typing import Annotated

import typer

from codelab import __version__
from codelab.errors import UserError

app = typer.Typer(
    name="codelab",
    help="Run recipes, keep records, build the book that reads them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"codelab {__version__}")
        raise typer.Exit


_EPILOG = """Examples: codelab doctor; codelab run recipes/q7-quantize-smollm2-cpu.yaml; codelab book build

Exit status: 0 done, 1 failed, 2 yours to mend, 75 paused, 130 interrupted."""


@app.callback(epilog=_EPILOG)
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run recipes, keep records, build the book that reads them."""


def main() -> None:
    """Entry point of the ``codelab`` command."""
    from codelab.cli import verbs  # noqa: F401, PLC0415 - registers the verbs, after app exists

    try:
        app(prog_name="codelab")
    except UserError as error:
        print(f"codelab: {error}", file=sys.stderr)
        sys.exit(2)
