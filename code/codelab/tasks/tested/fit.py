"""Which pairs can be tasks at all, seen from text and code: plain words, and a pure function of its arguments.

What is left out is left out for a reader's sake, too: code that reads the clock, files or the interpreter, private
helpers told in the terms of their project, long code. Not covered: what only running shows.
"""

import ast
import re

from codelab.tasks.instructions import Instruction
from codelab.tasks.tested import uses, wording
from codelab.tasks.tested.calls import function_of
from codelab.tasks.tested.names import words

MOST_LINES = 25
MOST_REQUIRED = 3
MODULES = words(
    "math cmath re collections collections.abc itertools functools string typing typing_extensions heapq bisect "
    "operator copy textwrap json decimal fractions statistics calendar datetime unicodedata difflib keyword numbers "
    "html urllib.parse base64 binascii posixpath fnmatch shlex colorsys enum __future__"
)
"""Modules whose results are plain values of their arguments."""
_CALLS = words(
    "open input print eval exec compile globals locals vars id hash __import__ breakpoint exit quit dir getattr "
    "setattr delattr super type memoryview bytes bytearray object callable issubclass"
)
_ATTRIBUTES = words(
    "now today utcnow fromtimestamp timestamp astimezone environ setdefaultencoding __class__ __dict__ __name__"
)
_NAMES = frozenset({"self", "cls", "__file__", "__name__", "__doc__", "NotImplemented", "Ellipsis"})
_PACKED = words("arr data args inputs input_data values")
_PATHS = words("join split splitext basename dirname normpath commonprefix isabs")
_KNOWN = frozenset(
    {*(2**power for power in range(80)), *(2**power - 1 for power in range(80)), *(10**power for power in range(20))}
    | {10**7 + 7, 10**9 + 7}
    | {13, 14, 15, 18, 20, 21, 24, 25, 26, 27, 28, 29, 30, 31, 32, 36, 48, 50, 57, 60, 65}
    | {90, 91, 97, 122, 123, 126, 127, 180, 270, 273.15, 360, 365, 366, 400, 1440, 1900, 3600, 86400, 459.67, 491.67}
)
"""Constants of calendars, units, alphabets and machines that a reader may be asked to know."""
_TEST_CODE = re.compile(
    r"advent|codyssi|puzzle|everybody|flipflop|codingquest|(^|/)(tests?|testing|benchmarks?)/"
    r"|(^|/)(test_[^/]*|[^/]*_tests?|conftest)\.py$"
)


def unfit(pair: Instruction, *, library: bool = False) -> str:
    """Why a pair cannot be a task, as a short reason; empty where nothing speaks against it.

    Args:
        pair: text and code.
        library: it comes from a library or an application, not from teaching code; its text must then say more.
    """
    try:
        tree = ast.parse(pair.code)
        function = function_of(pair.code, pair.entry_point)
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError):
        return "code: not a function"
    return (
        wording.unfit(pair.text, pair.entry_point, _parameters(function))
        or code_unfit(pair, tree, function)
        or _helper(pair, function)
        or (
            "text: too little for a library's function"
            if library and wording.vague(pair.text, _required(function))
            else ""
        )
    )


def _required(function: ast.FunctionDef) -> list[str]:
    plain = [*function.args.posonlyargs, *function.args.args]
    return [one.arg for one in plain[: len(plain) - len(function.args.defaults)]]


def _parameters(function: ast.FunctionDef) -> frozenset[str]:
    a = function.args
    listed = (*a.posonlyargs, *a.args, *a.kwonlyargs, a.vararg)
    return frozenset(argument.arg for argument in listed if argument is not None)


def code_unfit(pair: Instruction, tree: ast.Module, function: ast.FunctionDef) -> str:
    """What speaks against the code."""
    if len([line for line in pair.code.splitlines() if line.strip()]) > MOST_LINES:
        return "code: long"
    a = function.args
    if not (a.posonlyargs or a.args or a.vararg or a.kwonlyargs):
        return "code: no arguments"
    if a.kwarg is not None:
        return "code: open keywords"
    constants = [target.id for node in tree.body if isinstance(node, ast.Assign)
                 for target in node.targets if isinstance(target, ast.Name)]  # fmt: skip
    if constants and not any(name.lower().strip("_") in pair.text.lower() for name in constants):
        return "code: constants of its module"
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    numbers = {abs(value) for value in values if isinstance(value, int | float)}
    if any(number > 12 and number not in _KNOWN and f"{number:g}" not in pair.text for number in numbers):
        return "code: numbers that nobody can know"
    for node in ast.walk(tree):
        if reason := _node_unfit(node):
            return reason
    return ""


def _helper(pair: Instruction, function: ast.FunctionDef) -> str:
    """What speaks against functions that were written for one caller: many arguments, arguments that decide nothing."""
    required = _required(function)
    if len(required) > MOST_REQUIRED:
        return "code: many arguments"
    if pair.entry_point.startswith("_") or _TEST_CODE.search(pair.source):
        return "code: a private helper, a test or a puzzle"
    read: set[str] = set()
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise):
            continue
        if isinstance(node, ast.Name):
            read.add(node.id)
        waiting += ast.iter_child_nodes(node)
    if not read >= set(required):
        return "code: an argument without use"
    if any(slot.reach > 1 for name, slot in uses.of_function(function).items() if name in _PACKED):
        return "code: several arguments in one"
    keys = {key for slot in uses.of_function(function).values() for key in slot.fields}
    told = pair.text.lower()
    return "" if all(word in told for key in keys for word in re.split(r"[\W_]+", key.lower())) else "code: hidden keys"


def _node_unfit(node: ast.AST) -> str:
    if isinstance(node, ast.Import):
        outside = [alias.name for alias in node.names if alias.name not in MODULES | {"os", "os.path"}]
        return "code: modules" if outside else ""
    if isinstance(node, ast.ImportFrom):
        return (
            "" if node.module in MODULES or (node.module == "os" and node.names[0].name == "path") else "code: modules"
        )
    if isinstance(node, ast.Name):
        return "code: the interpreter's own" if node.id in _NAMES | _CALLS else ""
    if isinstance(node, ast.Attribute):
        if node.attr in _ATTRIBUTES or (
            isinstance(node.value, ast.Name) and node.value.id == "os" and node.attr != "path"
        ):
            return "code: the interpreter's own"
        inner = node.value
        if (isinstance(inner, ast.Attribute) and inner.attr == "path") or (
            isinstance(inner, ast.Name) and inner.id == "path" and node.attr in ("exists", "isfile", "isdir", "abspath")
        ):
            return "" if node.attr in _PATHS else "code: files"
    if isinstance(node, ast.Global | ast.Nonlocal | ast.AsyncFunctionDef | ast.Await | ast.ClassDef):
        return "code: state or classes"
    return ""
