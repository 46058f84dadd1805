"""Is what is frozen still what the book says? Text, code, records and recipes, for every format.

Quarto notices changes of a chapter's text only. The stamp (``_freeze/stamp.json``) adds, for every chapter with code
cells and every frozen format: the code that the chapter can import, the runs that it reads (found in its text, so that
a newer run counts as a change), and their recipes. Not covered: versions of the drawing libraries, which the locks fix.
"""

import ast
import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from codelab.book.facts import on_device
from codelab.book.project import Book, Chapter
from codelab.book.style import ASSETS
from codelab.errors import UserError
from codelab.records import Record, State, find_records, read_yaml, sha256_file, sha256_value

STAMP = "stamp.json"
READERS: dict[str, State | None] = {"latest": "ok", "stopped": "stopped", "history": None}
"""Functions that read runs, and the state of those they take; None: any."""
_SAID: dict[State | None, str] = {"ok": "successful", "stopped": "stopped"}
_CELLS = re.compile(r"^```+ *\{python[^}]*\}\n(.*?)^```+ *$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`\{python\} ([^`]+)`")

Needs = dict[str, str]  # "code codelab/book/facts.py" → SHA-256


def cells(chapter: Chapter) -> list[str]:
    """The code of a chapter, cell by cell, then its inline expressions."""
    return [*_CELLS.findall(chapter.text), *_INLINE.findall(chapter.text)]


def trees(chapter: Chapter) -> Iterator[ast.AST]:
    """The parsed code of a chapter.

    Raises:
        UserError: a cell is not Python.
    """
    for code in cells(chapter):
        lines = [line for line in code.splitlines() if not line.startswith(("%", "!"))]
        try:
            yield ast.parse("\n".join(lines).strip())
        except SyntaxError as error:
            raise UserError(f"{chapter.path}: cell is not Python: {error.msg}: {(error.text or '').strip()}") from error


def reads(chapter: Chapter) -> list[tuple[str, str | None, State | None]]:
    """Recipe, device and state of every run that is read; ``("*", None, None)`` for a reader of all runs.

    Raises:
        UserError: an argument is not a literal, so the run cannot be known without executing the chapter.
    """
    found: list[tuple[str, str | None, State | None]] = []
    for tree in trees(chapter):
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if name not in READERS:
                continue
            values = [*call.args, *(keyword.value for keyword in call.keywords)]
            if not all(isinstance(value, ast.Constant) for value in values):
                raise UserError(f"{chapter.path}: {ast.unparse(call)}: name recipe and device as plain strings")
            keywords = {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
            plain = [value.value for value in call.args if isinstance(value, ast.Constant)]
            recipe = plain[0] if plain else keywords.get("recipe")
            device = plain[1] if len(plain) > 1 else keywords.get("device")
            found.append((str(recipe) if recipe else "*", str(device) if device else None, READERS[name]))
    return sorted(set(found), key=str)


def needs(book: Book, chapter: Chapter) -> Needs:
    """Everything that a chapter's output is made from, besides its text, with hashes.

    Raises:
        UserError: a run or recipe that it reads is not there.
    """
    found: Needs = {f"code {name}": sha256_file(path) for name, path in imported(chapter).items()}
    for recipe, device, state in reads(chapter):
        runs = list(find_records(book.root / "results", None if recipe == "*" else recipe))
        if recipe != "*":
            good = [(at, run) for at, run in runs if state in (None, run.state) and on_device(run, device)]
            if not good:
                where = f" on {device}" if device else ""
                raise UserError(
                    f"{chapter.path}: reads results/{recipe}, but no {_SAID.get(state, 'finished')} run{where} is there"
                )
            runs = [max(good, key=lambda pair: pair[1].started)]
        for folder, record in runs:
            found |= _run(book.root, folder, record, with_recipe=recipe != "*")
    return dict(sorted(found.items()))


def imported(chapter: Chapter) -> dict[str, Path]:
    """The files of this package that a chapter imports, directly or through others, and the style that they load."""
    found = {"codelab/book/assets/book.mplstyle": ASSETS / "book.mplstyle"}
    queue = [name for tree in trees(chapter) for name in _names(tree)]
    while queue:
        name = queue.pop()
        spec = find_spec(name) if name else None
        if spec is None or not spec.origin or (key := name.replace(".", "/")) in found:
            continue
        found[key] = Path(spec.origin)
        queue += [name.rpartition(".")[0], *_names(ast.parse(found[key].read_bytes()))]
    return found


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import name` may name a module or a thing in it.
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for module in modules:
            if module.split(".")[0] == "codelab" and _exists(module):
                yield module


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _run(root: Path, folder: Path, record: Record, with_recipe: bool) -> Needs:
    name = f"{record.recipe.name}/{record.run}"
    found = {f"record {name}": sha256_file(folder / "record.json")}
    found |= {f"record {name}/{file}": sha256_file(folder / file) for file in record.files if (folder / file).exists()}
    recipe = root / "recipes" / f"{record.recipe.name}.yaml"
    if with_recipe:
        # Values, not bytes: a better comment in a recipe changes nothing that a chapter shows.
        found[f"recipe {record.recipe.name}"] = sha256_value(read_yaml(recipe)) if recipe.exists() else "missing"
    return found


def frozen_files(chapter: Chapter) -> dict[str, Path]:
    """Frozen outputs of a chapter by extension."""
    return {path.stem: path for path in sorted((chapter.freezer / "execute-results").glob("*.json"))}


def stale(book: Book) -> list[str]:
    """Every reason why the frozen book is not the book: one line each, naming chapter, format and cause."""
    known, reasons = _read(book), []
    for chapter in book.chapters:
        files = frozen_files(chapter)
        if not chapter.executable:
            reasons += [f"{chapter.path}: frozen, but it has no code cells; delete {chapter.freezer}"] if files else []
            continue
        try:
            wanted = needs(book, chapter)
        except UserError as error:
            reasons.append(str(error))
            continue
        for extension in sorted({*files, *book.formats}):
            try:
                chapter.frozen(extension)
            except UserError as error:
                reasons.append(str(error))
                continue
            entry = known.get(chapter.path, {}).get(extension)
            reasons += [f"{chapter.path} ({extension}): {cause}" for cause in _causes(entry, files[extension], wanted)]
    return [*reasons, *_leftovers(book)]


def stamp(book: Book) -> list[str]:
    """Write the stamp after a render with Quarto.

    An output that was not made again since its stamp keeps the old entry, so that a render which executed nothing
    cannot declare it fresh.

    Returns:
        What is still stale, as :func:`stale` says it.
    """
    known: dict[str, Any] = _read(book)
    new: dict[str, Any] = {}
    for chapter in book.chapters:
        for extension, path in frozen_files(chapter).items() if chapter.executable else ():
            old = known.get(chapter.path, {}).get(extension)
            fresh = {"frozen": sha256_file(path), "needs": needs(book, chapter)}
            keep = old is not None and old["frozen"] == fresh["frozen"]
            new.setdefault(chapter.path, {})[extension] = old if keep else fresh
    path = book.root / "_freeze" / STAMP
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return stale(book)


def thaw(book: Book) -> list[Path]:
    """Delete the frozen outputs that are stale, so that Quarto executes their chapters, and forget their stamps.

    Returns:
        The folders that were deleted.
    """
    import shutil  # noqa: PLC0415

    reasons, known, gone = stale(book), _read(book), []
    for chapter in book.chapters:
        if chapter.freezer.exists() and any(
            reason.startswith((chapter.path, str(chapter.freezer))) for reason in reasons
        ):
            shutil.rmtree(chapter.freezer)
            known.pop(chapter.path, None)
            gone.append(chapter.freezer)
    if gone:
        (book.root / "_freeze" / STAMP).write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return gone


def _causes(entry: dict[str, Any] | None, path: Path, wanted: Needs) -> list[str]:
    if entry is None:
        return ["never stamped; run `codelab book stamp` after `quarto render`"]
    if entry["frozen"] != sha256_file(path):
        return ["frozen again since its stamp; run `codelab book stamp`"]
    before = entry["needs"]
    causes = [f"{name} is new" for name in wanted if name not in before]
    causes += [f"{name} is read no longer or was replaced" for name in before if name not in wanted]
    return causes + [f"{name} changed" for name in wanted if name in before and before[name] != wanted[name]]


def _leftovers(book: Book) -> list[str]:
    folder = book.root / "_freeze"
    owned = {chapter.freezer for chapter in book.chapters}
    found = sorted({path.parent.parent for path in folder.rglob("execute-results/*.json")} - owned)
    return [f"{path.relative_to(book.root)}: frozen, but no chapter of that name is in the book" for path in found]


def _read(book: Book) -> dict[str, Any]:
    path = book.root / "_freeze" / STAMP
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_bytes()))
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); delete it, render with Quarto and stamp again") from error
