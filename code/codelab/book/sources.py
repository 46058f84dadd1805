"""Find figures and tables of records that do not say which record they show.

A cell is measured when it uses a name that goes back to ``facts.latest`` or ``facts.stopped``, through as many
assignments as it takes. A measured table calls ``provenance()`` itself, for its note; a measured figure is followed by
a line that does. Tables over all records (``facts.history``) are left alone: the run log lists those. Not covered:
whether the line names the record that the numbers are from, and drawings, which show no record.
"""

import ast
import re
from collections.abc import Iterator

from codelab.book.freshness import READERS
from codelab.book.project import Chapter

_CELL = re.compile(r"^```+ *\{python[^}]*\}\n(.*?)^```+ *$", re.MULTILINE | re.DOTALL)
_LABEL = re.compile(r"^#\|\s*label:\s*[\"']?((fig|tbl)-[\w-]+)", re.MULTILINE)
_READERS = tuple(f"facts.{name}" for name, state in READERS.items() if state)
_SAYS = re.compile(r"\bprovenance\(")


def faults(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """Line and reason of every measured figure and table without its source."""
    measured: set[str] = set()
    for cell in _CELL.finditer(chapter.text):
        try:
            tree = ast.parse(cell[1])
        except SyntaxError:  # another rule reports a cell that is not Python
            continue
        shown = _uses(tree, measured)
        _follow(tree, measured)
        label = _LABEL.search(cell[1])
        if label is None or not shown:
            continue
        line = chapter.text.count("\n", 0, cell.start()) + 1
        if label[2] == "tbl" and not _SAYS.search(cell[1]):
            yield line, f"cell {label[1]} shows a record and does not say which: note=….provenance()"
        elif label[2] == "fig" and not _SAYS.search(_next_line(chapter.text[cell.end() :])):
            yield line, f"cell {label[1]} shows a record: the line after it should be `{{python}} ….provenance()`"


def _follow(tree: ast.Module, measured: set[str]) -> None:
    """Add the names that statements of a cell bind to something measured."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and _uses(statement.value, measured):
            for target in statement.targets:
                measured |= {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _uses(tree: ast.AST, measured: set[str]) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in measured:
            return True
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _READERS:
            return True
    return False


def _next_line(text: str) -> str:
    return next((line for line in text.split("\n") if line.strip()), "")
