"""Execute the claims of a chapter without Quarto, and find claims whose words it no longer says.

The claims of a chapter are the cells that call ``claims.…`` (:mod:`codelab.book.claims`); they are executed after the
chapter's first cell, in one namespace, as Quarto does. Not covered: every other cell.
"""

import ast
import contextlib
import re
from collections.abc import Iterator
from typing import Any

from codelab.book.project import Chapter
from codelab.errors import UserError

_CELL = re.compile(r"^```+ *\{python[^}]*\}\n(.*?)^```+ *$", re.MULTILINE | re.DOTALL)


def faults(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """Line and reason of every claim that fails: by its words, or by its numbers."""
    cells = [(chapter.text.count("\n", 0, cell.start(1)), cell[1]) for cell in _CELL.finditer(chapter.text)]
    claimed = [(above, code) for above, code in cells if any(_calls(code))]
    if not claimed:
        return
    said = _plain(_CELL.sub(_options, chapter.text))
    for above, code in claimed:
        for call in _calls(code):
            words = call.args[0] if call.args else None
            if not isinstance(words, ast.Constant) or not isinstance(words.value, str):
                yield above + call.lineno, f"{ast.unparse(call.func)}: begin with the chapter's words, as plain text"
            elif _plain(words.value) not in said:
                yield above + call.lineno, f"claim {words.value!r}: the chapter does not say this"
    space: dict[str, Any] = {}
    with contextlib.chdir(chapter.root):
        for above, code in dict.fromkeys([cells[0], *claimed]):
            for statement in ast.parse(code).body:
                try:
                    # The chapter is this project's own code, and Quarto executes the same cells.
                    exec(compile(ast.Module([statement], []), chapter.path, "exec"), space)  # noqa: S102
                except UserError as error:
                    yield above + statement.lineno, str(error)
                except Exception as error:  # a cell can fail in any way; what is left of it means nothing then
                    yield above + statement.lineno, f"{ast.unparse(statement)[:60]}: {type(error).__name__}: {error}"
                    return


def _calls(code: str) -> Iterator[ast.Call]:
    with contextlib.suppress(SyntaxError):  # another rule reports a cell that is not Python
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("claims."):
                yield node


def _options(cell: "re.Match[str]") -> str:
    """Captions and alternative texts are what a chapter says; code is not."""
    return "\n".join(line for line in cell[1].split("\n") if line.startswith("#|"))


def _plain(text: str) -> str:
    return " ".join(text.split())
