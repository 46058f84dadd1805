"""``codelab book …``, ``check``, ``figures`` and ``runs``: everything about the book on the command line.

Not covered: the work itself (``codelab.book``).
"""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codelab.cli import complete
from codelab.cli.app import app
from codelab.errors import UserError
from codelab.records import sha256_file

if TYPE_CHECKING:
    from rich.table import Table

    from codelab.book.project import Book
    from codelab.records import Record

_WIDE = 1000  # columns: more than any table of runs needs

book_app = typer.Typer(
    name="book",
    help="Build the book, look at it, stamp what was frozen.",
    epilog="Example: codelab book build",
    no_args_is_help=True,
)
app.add_typer(book_app)


class Renderer(StrEnum):
    """Who turns chapters into pages."""

    auto = "auto"
    quarto = "quarto"
    pandoc = "pandoc"


def _book() -> "Book":
    from codelab.book.facts import root  # noqa: PLC0415
    from codelab.book.project import read_book  # noqa: PLC0415

    return read_book(root())


def _report(faults: list[str], fine: str) -> None:
    for fault in faults:
        typer.echo(fault, err=True)
    if faults:
        typer.echo(f"{len(faults)} fault{'s' if len(faults) > 1 else ''}", err=True)
        raise typer.Exit(1)
    typer.echo(fine)


@book_app.command("build")
def build(
    renderer: Annotated[Renderer, typer.Option(help="auto takes Quarto where it is installed.")] = Renderer.auto,
    allow_stale: Annotated[bool, typer.Option("--allow-stale", help="Pandoc only: render stale output too.")] = False,
) -> None:
    """Write the book into _book/: HTML, PDF, Word and notebooks, and look at what came out.

    With Quarto, stale chapters are executed and stamped, and README.md gets the tables of today's records.

    Example: codelab book build --renderer pandoc
    """
    from codelab.book.build import build_pandoc, build_quarto, find_quarto, look  # noqa: PLC0415
    from codelab.book.downloads import add_notebooks  # noqa: PLC0415
    from codelab.book.readme import update  # noqa: PLC0415

    book, began = _book(), time.monotonic()
    if renderer is Renderer.auto:
        renderer = Renderer.quarto if find_quarto() else Renderer.pandoc
    output = build_quarto(book) if renderer is Renderer.quarto else build_pandoc(book, allow_stale=allow_stale)
    add_notebooks(book, output)
    if renderer is Renderer.quarto and (book.root / "README.md").exists():
        update(book.root)
    seconds = time.monotonic() - began
    _report(look(book, output), f"{output / 'index.html'} ({renderer.value}, {seconds:.1f} s)")


@book_app.command("render")
def render() -> None:
    """Write the book with the second renderer (Pandoc and Typst), even where Quarto is installed.

    Example: codelab book render
    """
    build(Renderer.pandoc)


@book_app.command("submission")
def submission(
    allow_stale: Annotated[bool, typer.Option("--allow-stale", help="Take stale frozen chapters too.")] = False,
) -> None:
    """Write submission/: essays as PDF and Word file, executed notebooks, the whole exam, and a zip of it all.

    The same book gives the same bytes, with Quarto and without.

    Example: codelab book submission
    """
    from codelab.book import submission as made  # noqa: PLC0415

    book = _book()
    folder = made.build_submission(book, allow_stale=allow_stale)
    for name in (*made.files(book), made.ARCHIVE):
        typer.echo(f"{sha256_file(folder / name)}  {folder.name}/{name}")
    _report(made.look(book, folder), f"{folder / made.ARCHIVE}: complete")


@book_app.command("readme")
def readme() -> None:
    """Write the tables of README.md again, from records and recipes.

    Example: codelab book readme
    """
    from codelab.book.readme import update  # noqa: PLC0415

    typer.echo("README.md: written again" if update(_book().root) else "README.md: its tables are those of the records")


@book_app.command("stamp")
def stamp_verb() -> None:
    """Note what the frozen chapters were made from; run it after `quarto render`.

    Example: quarto render && codelab book stamp
    """
    from codelab.book.freshness import stamp  # noqa: PLC0415

    _report(stamp(_book()), "stamped: every frozen chapter is fresh")


@book_app.command("inspect")
def inspect_verb(
    output: Annotated[Path | None, typer.Argument(help="The output folder; _book by default.")] = None,
) -> None:
    """Look at finished pages and PDF for what is missing and for debris.

    Example: codelab book inspect _book
    """
    from codelab.book.build import OUTPUT, look  # noqa: PLC0415

    book = _book()
    _report(look(book, output or book.root / OUTPUT), "every title, caption, reference, citation and formula is there")


@app.command("check")
def check() -> None:
    """Is anything stale, incomplete or against the book's rules? One line a fault, status 1.

    Looks at frozen chapters, the code, records and recipes that they read, diagrams, bibliography, chapters and README.

    Example: codelab check
    """
    from codelab.book.diagrams import outdated  # noqa: PLC0415
    from codelab.book.freshness import stale  # noqa: PLC0415
    from codelab.book.lint import lint  # noqa: PLC0415
    from codelab.book.readme import outdated as readme_outdated  # noqa: PLC0415
    from codelab.records import find_records, verify_files  # noqa: PLC0415

    book = _book()
    faults = [*stale(book), *lint(book), *outdated(book.root / "figures"), *readme_outdated(book.root)]
    for folder, record in find_records(book.root / "results"):
        try:
            verify_files(folder, record)
        except UserError as error:
            faults.append(str(error))
    _report(faults, f"{len(book.chapters)} chapters: fresh, complete, within the rules")


@app.command("figures")
def figures(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which diagrams; all by default.", autocompletion=complete.drawings)
    ] = None,
) -> None:
    """Draw the diagrams of the essays into figures/ (SVG, and PNG for Word).

    Example: codelab figures q2-memory
    """
    from codelab.book.diagrams import draw_all, registered  # noqa: PLC0415
    from codelab.book.facts import root  # noqa: PLC0415

    for path in draw_all(root() / "figures", names):
        typer.echo(str(path))
    typer.echo(f"{len(names or registered())} diagrams up to date", err=True)


@app.command("runs")
def runs(
    recipe: Annotated[
        str | None, typer.Argument(help="Only the runs of this recipe.", autocompletion=complete.recorded)
    ] = None,
    results: Annotated[Path, typer.Option(help="Where records are.")] = Path("results"),
) -> None:
    """List all recorded runs, the failed ones too.

    Example: codelab runs q7-quantize-smollm2
    """
    from rich.console import Console  # noqa: PLC0415
    from rich.measure import Measurement  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from codelab.records import find_records  # noqa: PLC0415

    found = [record for _, record in sorted(find_records(results, recipe), key=lambda pair: pair[1].started)]
    if not found:
        raise UserError(f"{results}: no records{f' of {recipe}' if recipe else ''}; `codelab run` makes them")
    console, table = Console(), _table(found, "recipe")
    width = Measurement.get(console, console.options.update(max_width=_WIDE), table).maximum
    if width <= console.width or not console.is_terminal:
        # A program that reads the lines wants whole ones, however wide its terminal would be.
        Console(width=max(width, console.width)).print(table)
        return
    for name in dict.fromkeys(record.recipe.name for record in found):
        console.print(Text(name, "bold"), soft_wrap=True)
        console.print(_table([record for record in found if record.recipe.name == name]))


def _table(found: "list[Record]", *first: str) -> "Table":
    """A row a run; names and runs are there to be copied, so they are never cut."""
    from rich.table import Table  # noqa: PLC0415

    from codelab.book.formats import show  # noqa: PLC0415

    table = Table(box=None)
    for heading in (*first, "run", "state", "device", "time", "commit", "metrics"):
        table.add_column(heading, no_wrap=heading in {"recipe", "run"}, overflow="fold")
    for record in found:
        device = record.device.name if record.device else record.environment.cpu
        row = (
            record.run,
            record.state,
            device,
            str(show(record.seconds, unit="s")),
            (record.code.commit or "unknown")[:10],
        )
        table.add_row(*(record.recipe.name for _ in first), *row, str(len(record.metrics)))
    return table
