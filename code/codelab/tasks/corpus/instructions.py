"""Instruction pairs: a docstring's first paragraph and the function that it describes, where the function stands alone.

A function stands alone when every name in it is its own, a builtin, imported from the standard library or a short
literal constant of its module; the imports and constants it needs are put in front. Not covered: methods, decorated or
asynchronous functions, helpers in the same file, and whether the code does what the docstring says (nothing is run).
"""

import ast
import builtins
import doctest
import re
import symtable
import sys
import warnings
from dataclasses import dataclass

MAX_LINES = 40
MAX_CHARACTERS = 1_500
MIN_WORDS, MAX_WORDS = 4, 80
MAX_EXAMPLES = 3
MAX_CONSTANT = 100

_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}
_UNWANTED = re.compile(r":param|:return|@param|>>>|todo|fixme|deprecated|not implemented|https?://", re.IGNORECASE)
_DESCRIBED = re.compile(r"^def (?!_*test|_*main)\w+\s*\([^\0]{0,600}?:[^\n]*\n\s+[rRuU]?(\"\"\"|'''|\"|')", re.M)
_DOCTEST = doctest.DocTestParser()


@dataclass(frozen=True)
class Pair:
    """An instruction and its code.

    Attributes:
        instruction: one paragraph of English.
        code: imports and the function, without its docstring.
        name: the function's name.
        examples: up to three ``assert`` lines made of the docstring's own examples; never run.
    """

    instruction: str
    code: str
    name: str
    examples: tuple[str, ...]


@dataclass
class Extracted:
    """The pairs of a file, and how many described functions did not stand alone."""

    pairs: list[Pair]
    dependent: int


def extract(text: str) -> Extracted:
    """Find the pairs of a source text that parses; a text that does not gives none."""
    if not _DESCRIBED.search(text):
        return Extracted([], 0)  # parsing costs far more than this look
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Extracted([], 0)
    lines = text.split("\n")
    imports, constants = _imports(tree), _constants(tree, lines)
    result = Extracted([], 0)
    for node in tree.body:
        if (
            not isinstance(node, ast.FunctionDef)
            or node.decorator_list
            or node.name.lstrip("_").startswith(("test", "main"))
        ):
            continue
        instruction = paragraph(ast.get_docstring(node) or "")
        code = _code(node, lines)
        if instruction is None or code is None:
            continue
        try:
            wanted = _wanted(code) - {node.name} - _BUILTINS
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if not wanted <= imports.keys() | constants.keys():
            result.dependent += 1
            continue
        above = "".join(f"{line}\n" for line in sorted({imports[name] for name in wanted & imports.keys()}))
        above += "".join(f"{constants[name]}\n" for name in sorted(wanted & constants.keys() - imports.keys()))
        whole = above + ("\n\n" if above else "") + code + "\n"
        result.pairs.append(Pair(instruction, whole, node.name, examples(ast.get_docstring(node) or "", node.name)))
    return result


def paragraph(docstring: str) -> str | None:
    """The first paragraph on one line, or None when it is no plain English sentence of 4 to 80 words."""
    first = re.split(r"\n\s*\n", docstring.strip())[0]
    text = " ".join(first.split())
    words = text.split()
    if not MIN_WORDS <= len(words) <= MAX_WORDS or not text.isascii() or _UNWANTED.search(text):
        return None
    letters = sum(character.isalpha() or character == " " for character in text)
    return text if letters >= 0.75 * len(text) else None


def examples(docstring: str, name: str) -> tuple[str, ...]:
    """``assert`` lines from examples such as ``>>> f(2)`` followed by a literal on one line."""
    try:
        found = _DOCTEST.get_examples(docstring)
    except ValueError:
        return ()
    lines = []
    for example in found:
        source, want = example.source.strip(), example.want.strip()
        if not source.startswith(f"{name}(") or "\n" in source or not want or "\n" in want or example.exc_msg:
            continue
        try:
            ast.parse(source, mode="eval")
            ast.literal_eval(want)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
        lines.append(f"assert {source} == {want}")
    return tuple(lines[:MAX_EXAMPLES])


def _code(node: ast.FunctionDef, lines: list[str]) -> str | None:
    """The function without its docstring, or None when it is no short function that gives something back."""
    documented = node.body[0]
    rest = node.body[1:]
    if not rest or documented.lineno == node.lineno or rest[0].lineno == documented.end_lineno:
        return None
    if not any(
        (isinstance(inner, ast.Return) and inner.value is not None) or isinstance(inner, ast.Yield | ast.YieldFrom)
        for statement in rest
        for inner in ast.walk(statement)
    ):
        return None
    body = lines[documented.end_lineno or 0 : node.end_lineno]
    while body and not body[0].strip():
        body = body[1:]
    code = "\n".join([*lines[node.lineno - 1 : documented.lineno - 1], *body])
    if len(body) > MAX_LINES or len(code) > MAX_CHARACTERS:
        return None
    return code


def _imports(tree: ast.Module) -> dict[str, str]:
    """Name to import line, for imports of the standard library at the top level of a module."""
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in sys.stdlib_module_names:
                    suffix = f" as {alias.asname}" if alias.asname else ""
                    found[alias.asname or alias.name.split(".")[0]] = f"import {alias.name}{suffix}"
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module != "__future__":
            if (node.module or "").split(".")[0] not in sys.stdlib_module_names:
                continue
            for alias in node.names:
                suffix = f" as {alias.asname}" if alias.asname else ""
                found[alias.asname or alias.name] = f"from {node.module} import {alias.name}{suffix}"
    return found


def _constants(tree: ast.Module, lines: list[str]) -> dict[str, str]:
    """Name to source, for one-line assignments of a literal at the top level; names assigned twice are left out."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for node in tree.body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            continue
        name, line = node.targets[0].id, lines[node.lineno - 1]
        if name in found:
            twice.add(name)
        if node.end_lineno == node.lineno and node.col_offset == 0 and len(line) <= MAX_CONSTANT and ";" not in line:
            try:
                ast.literal_eval(node.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                continue
            found[name] = line
    return {name: line for name, line in found.items() if name not in twice}


def _wanted(code: str) -> set[str]:
    """Every name that a function takes from outside itself, its own among them where it calls itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = symtable.symtable(code, "<function>", "exec")
    wanted: set[str] = set()
    pending = [table]
    while pending:
        scope = pending.pop()
        pending.extend(scope.get_children())
        for symbol in scope.get_symbols():
            if symbol.is_global() or (scope is table and symbol.is_referenced()):
                wanted.add(symbol.get_name())
    return wanted
