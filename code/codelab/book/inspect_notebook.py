"""Looks at a finished notebook for what must be there and what must not, as ``inspect`` does for pages and PDF.

Not covered: whether executing it again gives the same outputs (a test does that).
"""

import re
from pathlib import Path
from typing import Any

import nbformat

from codelab.book.inspect import content, debris, pieces, squash
from codelab.book.notebook import cells
from codelab.book.project import Book, Chapter

_TABLE = re.compile(r"^\|?[ :]*-{2,}[-:| ]*\|[-:| ]*$", re.MULTILINE)
_MATH = re.compile(r"\$\$.+?\$\$|(?<![\\$\w])\$(?=\S)[^$]*?\S\$(?!\d)", re.DOTALL)


def inspect_notebook(book: Book, chapter: Chapter, path: Path) -> list[str]:
    """Everything that is missing or wrong in the notebook of a chapter."""
    where = path.name
    if not path.is_file():
        return [f"{where}: missing"]
    try:
        notebook: Any = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (ValueError, nbformat.ValidationError) as error:
        return [f"{where}: not a notebook ({error})"]
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    shown = [text for output in outputs for text in _texts(output)]
    text, found = "\n".join([*prose, *shown]), content(chapter)
    flat = squash(re.sub(r"[\\*`_]|<[^>]+>", "", text))
    faults = debris(re.sub(r"`[^`\n]*`", "`", text), where)
    faults += [f"{where}: title: {part!r} is missing" for part in pieces(chapter.title) if squash(part) not in flat]
    faults += _opening(book, prose[0] if prose else "", where)
    for identifier, label in found.labels.items():
        if identifier.startswith("eq-"):
            if rf"\tag{{{label.split()[1]}}}" not in text:
                faults.append(f"{where}: number of @{identifier} is missing")
            continue
        start = (pieces(found.captions.get(identifier, "")) or [""])[0]
        if not re.search(re.escape(squash(label)) + r"[.:]?" + re.escape(squash(start)), flat):
            faults.append(f"{where}: caption of @{identifier} ({label}: {start!r}) is missing")
    entries = len(set(re.findall(r"@(\w+)", " ".join(f"@{key}" for key in found.citations))))
    works = next((cell for cell in reversed(prose) if "## References" in cell), "")  # checks may follow
    listed = works.partition("## References")[2].strip().split("\n\n")
    if entries and len(list(filter(None, listed))) < entries:
        faults.append(f"{where}: {entries} works are cited, {len(list(filter(None, listed)))} are listed")
    if (formulas := len(_MATH.findall(text))) < found.formulas:
        faults.append(f"{where}: {found.formulas} formulas expected, {formulas} shown")
    if (tables := len(_TABLE.findall(text))) < found.tables:
        faults.append(f"{where}: {found.tables} tables expected, {tables} shown")
    given = {squash(words) for output in outputs if (words := _alternative(output))}
    given |= {squash(words) for words in re.findall(r"!\[(.*?)\]\(attachment:", text, re.DOTALL)}
    faults += [f"{where}: no picture says {words!r}" for words in found.alternatives if squash(words) not in given]
    return faults + _cells(chapter, code, where)


def _opening(book: Book, first: str, where: str) -> list[str]:
    wanted = {"the author": book.author, "how to run the experiment again": "codelab run recipes/", "Colab": "Colab"}
    return [f"{where}: its first cell does not say {what}" for what, words in wanted.items() if words not in first]


def _cells(chapter: Chapter, code: list[Any], where: str) -> list[str]:
    faults = []
    numbers = [cell.execution_count for cell in code]
    if numbers != list(range(1, len(code) + 1)):
        faults.append(f"{where}: cells were executed as {numbers}, not once each in order")
    sources = [cell.source for cell in code]
    faults += [
        f"{where}: a cell of the chapter is missing: {cell.code[:60]!r}"
        for cell in cells(chapter)
        if cell.code not in sources
    ]
    for cell in code:
        faults += [
            f"{where}: error in a cell: {output.get('ename')}: {output.get('evalue')}"
            for output in cell.outputs
            if output.output_type == "error"
        ]
        if any(output.output_type == "stream" and output.name == "stderr" for output in cell.outputs):
            faults.append(f"{where}: a cell wrote to stderr: {cell.source[:60]!r}")
    for cell in cells(chapter):
        label = cell.options.get("label", "")
        wanted = {"fig": "image/png", "tbl": "text/markdown"}.get(label.partition("-")[0])
        made = [output for one in code if one.source == cell.code for output in one.outputs]
        if wanted and not any(wanted in output.get("data", {}) for output in made):
            faults.append(f"{where}: cell {label} shows no {wanted}")
    return faults


def _texts(output: Any) -> list[str]:
    if output.output_type == "stream":
        return [output.text]
    data = output.get("data", {})
    return [data.get("text/markdown") or data.get("text/plain", "")]


def _alternative(output: Any) -> str:
    return str(output.get("metadata", {}).get("image/png", {}).get("alt", ""))
