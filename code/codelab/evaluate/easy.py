"""Which tasks are one-liners: a single builtin or a single operator solves them.

A weak model's score can come from these alone, so every record says how much of it does. The reference solution
decides, read as a syntax tree and never run. Not covered: how hard the other tasks are.
"""

import ast
from functools import lru_cache

from codelab.tasks.mbpp import Task

_PLAIN = (ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.Starred)


def is_one_liner(task: Task) -> bool:
    """Whether the reference applies one call or one operator to plain operands (names, constants, parts of them).

    Calls of ``re`` do not count: there the pattern is the program.
    """
    return _one_liner(task.code, task.entry_point)


@lru_cache(maxsize=4096)
def _one_liner(code: str, name: str) -> bool:
    function = next(
        (node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef) and node.name == name), None
    )
    answer = _answer(function.body) if function else None
    return answer is not None and _single(answer)


def _answer(body: list[ast.stmt]) -> ast.expr | None:
    """The returned expression of ``return e`` or ``x = e; return x``; imports and a docstring may stand before."""
    steps = [
        node
        for node in body
        if not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    if not steps or not isinstance(steps[-1], ast.Return) or len(steps) > 2:
        return None
    last = steps[-1].value
    if len(steps) == 1:
        return last
    first = steps[0]
    if isinstance(first, ast.Assign) and isinstance(last, ast.Name):
        named = [target.id for target in first.targets if isinstance(target, ast.Name)]
        return first.value if named == [last.id] else None
    return None


def _single(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        called = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        if isinstance(called, ast.Name) and called.id == "re":
            return False
        return isinstance(called, _PLAIN) and all(
            _plain(part) for part in [*node.args, *(keyword.value for keyword in node.keywords)]
        )
    if isinstance(node, ast.BinOp):
        return _plain(node.left) and _plain(node.right)
    if isinstance(node, ast.UnaryOp):
        return _plain(node.operand)
    if isinstance(node, ast.Compare):
        return len(node.ops) == 1 and all(_plain(part) for part in [node.left, *node.comparators])
    if isinstance(node, ast.BoolOp):
        return all(_plain(part) for part in node.values)
    if isinstance(node, ast.IfExp):
        return isinstance(node.test, ast.Name | ast.Compare) and _plain(node.body) and _plain(node.orelse)
    return _plain(node)


def _plain(node: ast.expr) -> bool:
    """A name, a constant, or a part of a name: nothing is computed."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.operand, ast.Constant)
    if isinstance(node, ast.Attribute | ast.Starred):
        return _plain(node.value)
    if isinstance(node, ast.Subscript):
        return _plain(node.value) and not isinstance(node.slice, ast.Call)
    return isinstance(node, ast.Name | ast.Constant)
