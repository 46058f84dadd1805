"""Disguised copies of the benchmark solutions, to measure what the decontamination misses.

Each disguise changes one thing that a copyist changes: layout, comments, docstring, variable names, all names. A copy
is missed when the detector does not name its problem. Not covered: rewrites with another algorithm, which no text rule
finds.
"""

import ast
import builtins
import keyword
from collections.abc import Callable
from typing import Any

from codelab.tasks.corpus.benchmarks import Problem
from codelab.tasks.corpus.contamination import Detector

_KEPT = frozenset(dir(builtins)) | set(keyword.kwlist)


def as_it_is(problem: Problem) -> str:
    """The reference solution unchanged."""
    return problem.solution


def reformatted(problem: Problem) -> str:
    """Parsed and written anew: other quotes, brackets, spacing and indentation, no comments."""
    return ast.unparse(ast.parse(problem.solution)) + "\n"


def commented(problem: Problem) -> str:
    """A remark in front of every line and a docstring in every function."""
    tree = ast.parse(problem.solution)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is None:
            node.body.insert(0, ast.Expr(ast.Constant("Explains itself to whoever reads it.")))
    lines = ast.unparse(tree).split("\n")
    return "".join(f"{line[: len(line) - len(line.lstrip())]}# next step\n{line}\n" for line in lines)


def redocumented(problem: Problem) -> str:
    """Docstrings replaced, and removed where one was; comments gone."""
    tree = ast.parse(problem.solution)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
            else:
                node.body.insert(0, ast.Expr(ast.Constant("Does what it should.")))
    return ast.unparse(tree) + "\n"


def variables_renamed(problem: Problem) -> str:
    """Every argument and variable renamed; functions and imported modules keep their names."""
    return _rename(problem.solution, functions=False)


def everything_renamed(problem: Problem) -> str:
    """Every argument, variable and function renamed, docstrings dropped, and written anew."""
    return _rename(problem.solution, functions=True)


def tests_alone(problem: Problem) -> str:
    """The tests, with other spacing and quotes, and no solution."""
    calls = [check for check in problem.checks if check.expected]
    return "".join(f"print( {check.call} )   # ->  {check.expected}\n" for check in calls).replace("'", '"')


DISGUISES: dict[str, Callable[[Problem], str]] = {
    "none": as_it_is,
    "reformatted": reformatted,
    "comments added": commented,
    "docstring changed": redocumented,
    "variables renamed": variables_renamed,
    "variables and functions renamed": everything_renamed,
    "tests alone": tests_alone,
}


def miss_rates(problems: list[Problem], detector: Detector) -> list[dict[str, Any]]:
    """For each disguise and benchmark: copies, how many were missed, their share, and the keys missed."""
    result = []
    for name, disguise in DISGUISES.items():
        for benchmark in sorted({problem.key.partition("/")[0] for problem in problems}):
            those = [problem for problem in problems if problem.key.startswith(f"{benchmark}/")]
            if name == "tests alone":
                those = [problem for problem in those if any(check.expected for check in problem.checks)]
            missed = [one.key for one in those if one.key not in {hit.problem for hit in detector.find(disguise(one))}]
            share = len(missed) / len(those)
            row = {"disguise": name, "benchmark": benchmark, "copies": len(those), "missed": len(missed)}
            result.append(row | {"miss_share": share, "missed_problems": missed})
    return result


class _Renamer(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        self.generic_visit(node)
        node.arg = self._names.get(node.arg, node.arg)
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        self.generic_visit(node)
        node.arg = self._names.get(node.arg, node.arg) if node.arg else node.arg
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.name = self._names.get(node.name, node.name)
        return node


def _rename(source: str, *, functions: bool) -> str:
    tree = ast.parse(source)
    names: set[str] = set()
    defined: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef):
            defined.add(node.name)
    if functions:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    chosen = (names - defined) | (defined if functions else set())
    table = {name: f"value_{number}" for number, name in enumerate(sorted(chosen - _KEPT))}
    return ast.unparse(_Renamer(table).visit(tree)) + "\n"
