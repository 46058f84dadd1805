"""A measured chapter as a Jupyter notebook, executed: its prose, its cells, every output, and how to run it again.

The cells are the chapter's own and read run records, so a notebook executes in seconds without a GPU. The same chapter,
records and library versions give the same bytes. Not covered: the prose (``codelab.book.render.notebook``).
"""

import base64
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from codelab.book.freshness import reads
from codelab.book.project import Book, Chapter
from codelab.book.render.notebook import Prose, prose
from codelab.errors import UserError
from codelab.records import read_yaml

_CELL = re.compile(r"^```+ *\{python[^}]*\}\n(.*?)^```+ *$", re.MULTILINE | re.DOTALL)
_OPTION = re.compile(r"^#\|\s*([\w-]+):\s*(.*?)\s*$", re.MULTILINE)
_COLAB = "https://colab.research.google.com/github/"
_GITHUB = "https://github.com/"
_HOME = """\
# The package and the records lie in the repository: this notebook's own folder, one above it, or CODELAB_ROOT.
import os
import sys
from pathlib import Path

start = Path(os.environ.get("CODELAB_ROOT", Path.cwd())).resolve()
found = [folder for folder in (start, *start.parents) if (folder / "_quarto.yml").is_file()]
{fetch}if not found:
    raise SystemExit(f"{{start}}: no repository here or above; put this notebook into it, or set CODELAB_ROOT")
os.environ["CODELAB_ROOT"] = str(found[0])
sys.path.insert(0, str(found[0] / "code"))
%config InlineBackend.figure_formats = ["retina"]"""
_CHECKS = """\
## Checks

Each line below holds a sentence of this chapter to the records: executing it fails where the sentence \
is no longer true."""
_FETCH = """\
if not found:  # in Colab, or alone: fetch the repository, and install what reading records and drawing needs
    !git clone --quiet --depth 1 --branch {branch} {repository} repository
    %pip install --quiet --editable "./repository[book]"
    found = [Path("repository").resolve()]
"""


@dataclass(frozen=True)
class Cell:
    """One code cell of a chapter: its code without options, and what the options say."""

    code: str
    options: dict[str, str]

    @property
    def hidden(self) -> bool:
        """Whether the book shows nothing of it."""
        return self.options.get("include") == "false"

    @property
    def checks(self) -> bool:
        """Whether it holds sentences of the chapter to the records, and nothing else needs it."""
        return self.hidden and self.options.get("label", "").endswith("-claims")


def cells(chapter: Chapter) -> Iterator[Cell]:
    """The code cells of a chapter in order."""
    for text in _CELL.findall(chapter.text):
        options = {name: value.strip("\"'") for name, value in _OPTION.findall(text)}
        yield Cell("\n".join(line for line in text.split("\n") if not line.startswith("#|")).strip(), options)


def name(chapter: Chapter) -> str:
    """The notebook's file name: ``question-07.ipynb``."""
    return f"question-{int(chapter.number):02d}.ipynb"


def write_notebooks(book: Book, folder: Path) -> list[Path]:
    """Make and execute the notebook of every chapter that ``submission: notebooks:`` lists.

    Args:
        book: fresh; its records are read.
        folder: where they go and where their code runs; it exists.

    Returns:
        The files, in the book's order.

    Raises:
        UserError: a chapter cannot be rendered, or a cell fails.
    """
    found, chapters = prose(book), book.questions("notebooks")

    def write(chapter: Chapter) -> Path:
        target = folder / name(chapter)
        notebook = execute(assemble(book, chapter, found[chapter.path]), folder, book.root, chapter.path)
        target.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        return target

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(write, chapters))


def assemble(book: Book, chapter: Chapter, text: Prose) -> Any:
    """The notebook before it is executed.

    Raises:
        UserError: the frozen chapter does not show the cells that its text has.
    """
    made = [new_markdown_cell(_opening(book, chapter, text.title)), new_code_cell(_home(book))]
    every = list(cells(chapter))
    checks = [cell for cell in every if cell.checks]
    if sum(not cell.hidden for cell in every) != len(text.pieces) - 1:
        raise UserError(f"{chapter.path}: {len(every)} code cells, but its frozen output shows {len(text.pieces) - 1}")
    pieces, every = iter(text.pieces), [cell for cell in every if not cell.checks]
    # The hidden cells in front set up what the rest needs; a later one comes before the prose that follows it.
    while every and every[0].hidden:
        made.append(_code(every.pop(0)))
    made += _markdown(next(pieces), text.pictures)
    for cell in every:
        made.append(_code(cell))
        if not cell.hidden:
            made += _markdown(next(pieces), text.pictures)
    if checks:  # last, for a reader looks for the answer first
        made += [new_markdown_cell(_CHECKS), *map(_code, checks)]
    for place, cell in enumerate(made):
        cell.id = f"cell-{place:03d}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    title = f"{chapter.label}. {text.title}"
    metadata = {"kernelspec": kernel, "title": title, "authors": [{"name": book.author}]}
    return new_notebook(cells=made, metadata=metadata)


def execute(notebook: Any, folder: Path, root: Path, source: str) -> Any:
    """Run all cells in a folder, on the records of the book in ``root``, and tidy what depends on the moment.

    Raises:
        UserError: a cell fails; names the chapter and the last line of the error.
    """
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, kernel_name="python3", timeout=600, record_timing=False, resources=place)
    try:
        # A kernel greets with a warning about its socket, on stderr.
        client.execute(env=os.environ | {"CODELAB_ROOT": str(root)}, stderr=subprocess.DEVNULL)
    except CellExecutionError as error:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
        raise UserError(f"{source}: a cell of its notebook failed: {lines[-1]}") from error
    # Which patch release ran it is no part of the answer.
    notebook.metadata["language_info"] = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    for cell in notebook.cells:
        alternative = cell.metadata.pop("alternative", None)
        for output in cell.get("outputs", []):
            if alternative and "image/png" in output.get("data", {}):
                output.metadata = {"image/png": {**output.metadata.get("image/png", {}), "alt": alternative}}
    nbformat.validate(notebook)
    return notebook


def _code(cell: Cell) -> Any:
    made = new_code_cell(cell.code)
    if cell.hidden:  # folded: by JupyterLab and Notebook, and by Colab
        made.metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    if alternative := cell.options.get("fig-alt"):
        made.metadata["alternative"] = alternative
    return made


def _markdown(text: str, pictures: dict[str, Path]) -> list[Any]:
    if not text:
        return []
    made = new_markdown_cell(text)
    shown = {
        file: {"image/png": base64.b64encode(path.read_bytes()).decode()}
        for file, path in pictures.items()
        if f"(attachment:{file}" in text
    }
    if shown:
        made["attachments"] = shown
    return [made]


def _opening(book: Book, chapter: Chapter, title: str) -> str:
    line = " · ".join(filter(None, [f"**{book.author}**", book.title, book.of("date")]))
    commands = "\n".join(_commands(book, chapter))
    return f"""# {chapter.label}. {title}

{line}

This notebook reads run records and trains nothing: it executes in seconds on any machine.

**To run the experiment again**, in the folder of the repository (the extras that a recipe needs come first):

```sh
{commands}
```

A newer successful run is what this notebook shows when it is executed again.

**In Colab:** {_colab(book, chapter)}"""


def _commands(book: Book, chapter: Chapter) -> Iterator[str]:
    read = {recipe for recipe, *_ in reads(chapter)}
    lines: dict[str, str] = {}
    extras: set[str] = set()
    for path in sorted((book.root / "recipes").glob("*.yaml")):
        values: dict[str, Any] = read_yaml(path)
        if path.stem not in read and str(values.get("question")) != chapter.number:
            continue
        hardware = values.get("hardware") or {}
        memory = f", {hardware['gpu_memory_gb']:g} GB" if hardware.get("gpu_memory_gb") else ""
        where = f"a GPU{memory}" if hardware.get("device") == "gpu" else "any machine"
        extras.update(hardware.get("extras") or ["train"])
        lines[f"codelab run recipes/{path.name}"] = f"# {where}, about {_minutes(hardware.get('minutes', 0))}"
    width = max(map(len, lines), default=0)
    yield from (f"make setup-{extra}" for extra in sorted(extras, reverse=True))
    yield from (f"{command:<{width}}  {remark}" for command, remark in lines.items())


def _minutes(minutes: float) -> str:
    return f"{minutes:g} min" if minutes < 120 else f"{minutes / 60:.3g} h"


def _colab(book: Book, chapter: Chapter) -> str:
    if book.repository.startswith(_GITHUB):
        place = book.repository.removeprefix(_GITHUB)
        return (
            f"[Open in Colab]({_COLAB}{place}/blob/submission/{name(chapter)}); the first code cell fetches the rest."
        )
    return (
        "upload this notebook (File → Upload notebook) and the repository's folder, "
        'and set `os.environ["CODELAB_ROOT"]` to that folder in a cell above the first one.'
    )


def _home(book: Book) -> str:
    fetch = _FETCH.format(branch=book.branch, repository=book.repository) if book.repository else ""
    return _HOME.format(fetch=fetch)


def outputs(path: Path) -> list[dict[str, Any]]:
    """Every output of a notebook file, without what only a front end uses; for comparing two executions.

    Raises:
        UserError: not a notebook.
    """
    try:
        content: Any = nbformat.read(path, as_version=4)
        return [
            {key: value for key, value in output.items() if key not in ("execution_count", "metadata")}
            for cell in content.cells
            for output in cell.get("outputs", [])
        ]
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise UserError(f"{path}: not a notebook ({error})") from error
