"""Finds benchmark problems in source text: by test, by prompt, by copied code, by name and by structure.

Five rules, each giving lines to remove:

* ``test``: a call of a benchmark test with the same arguments, followed closely by the expected value (``==``, a comma,
  a doctest's next line), or with arguments so long that they alone give it away; white space and quotes do not count.
* ``prompt``: the task's words in a row, in any case and punctuation, without "write a function to".
* ``copy``: windows of 10 code tokens that together cover half of a reference solution within a short stretch.
* ``name``: a function of the same name (case and underscores aside) whose tokens overlap by 60 %.
* ``structure``: as ``copy``, but with variables replaced by the distance to their last use, so that renaming changes
  nothing; windows of 20 tokens must cover 70 %. Solutions too short for that must match as a whole function.

Not covered: a rewrite that shares none of these, a translation from another language, and one-line solutions under
other names (:data:`SHORTEST` code tokens are the least that ``structure`` looks at).
"""

import ast
import builtins
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from codelab.tasks.corpus import lexing
from codelab.tasks.corpus.benchmarks import Check, Problem, squeeze
from codelab.tasks.corpus.lexing import Hashes, Lexed, lex
from codelab.tasks.corpus.windows import Windows

RULES = ("test", "prompt", "copy", "name", "structure")
COPY_WINDOW, COPY_SHARE = 10, 0.5
STRUCTURE_WINDOW, STRUCTURE_SHARE = 20, 0.7
NAME_SHARE = 0.6
PROMPT_WORDS, PROMPT_MOST = 6, 20
LONG_CALL = 30
VERSION = 1
"""Raised whenever a rule changes, so that parts cleaned by the older rule are made anew."""
SHORTEST = 16

_WORD = re.compile(r"[a-z0-9]+")
_LEAD = re.compile(
    r"^.*?\bwrite (a |an |the )?(python )?(function|program|code)?( in python)?( to| that| which| for)?\b", re.S
)
_CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")
_BUILTINS = frozenset(dir(builtins)) | lexing.KEYWORDS | {"self"}
_NEW = np.uint64(0xA5A5A5A5)
_STEP = np.uint64(0x1000193)


@dataclass(frozen=True, order=True)
class Hit:
    """A problem found by a rule, on lines ``first`` to ``last`` (from 1)."""

    rule: str
    problem: str
    first: int
    last: int


@dataclass(frozen=True)
class Function:
    """A function of a file: name, first line (decorators included) and last line, from 1."""

    name: str
    first: int
    last: int


class Detector:
    """Looks for every problem at once; made once a process, then used for many files."""

    def __init__(self, problems: list[Problem]) -> None:
        self._keys: list[str] = []
        self._checks: dict[str, list[tuple[Check, str]]] = defaultdict(list)
        self._named: dict[str, list[tuple[Counter[str], int, str]]] = defaultdict(list)
        self._prompts: dict[int, list[tuple[list[str], str]]] = defaultdict(list)
        self._openings: set[tuple[str | int, ...]] = set()
        self._copies = Windows(COPY_WINDOW, COPY_SHARE)
        self._structures = Windows(STRUCTURE_WINDOW, STRUCTURE_SHARE)
        self._shapes: dict[tuple[str | int, ...], list[str]] = defaultdict(list)
        for problem in problems:
            self._add(problem)
            for solution in dict.fromkeys((problem.solution, ast.unparse(ast.parse(problem.solution)) + "\n")):
                self._add_solution(problem, solution)
        self._copies.close()
        self._structures.close()
        self._first_words = np.sort(np.fromiter(self._prompts, dtype=np.uint64, count=len(self._prompts)))

    def _add(self, problem: Problem) -> None:
        for check in problem.checks:
            self._checks[check.call.partition("(")[0]].append((check, problem.key))
        words = prompt_words(problem.prompt)
        if len(words) >= PROMPT_WORDS:
            self._prompts[int(_word_windows(words)[0])].append((words, problem.key))

    def _add_solution(self, problem: Problem, solution: str) -> None:
        number = len(self._keys)
        self._keys.append(problem.key)
        lexed = lex(solution)
        self._copies.add(number, lexing.window_hashes(lexing.hash_tokens(lexed.tokens), COPY_WINDOW), len(lexed.tokens))
        if len(lexed.tokens) >= STRUCTURE_WINDOW:
            self._structures.add(number, structure_hashes(lexed.tokens, STRUCTURE_WINDOW), len(lexed.tokens))
        for function in functions(solution):
            tokens = _between(lexed, function.first, function.last)
            if function.name in problem.names and not function.name.startswith("__"):
                self._named[_plain(function.name)].append((Counter(tokens), len(tokens), problem.key))
            if function.name in problem.names and SHORTEST <= len(tokens) < 2 * STRUCTURE_WINDOW:
                self._shapes[shape(tokens)].append(problem.key)
                self._openings.add(shape(tokens[:SHORTEST]))

    def find(self, text: str, lexed: Lexed | None = None) -> list[Hit]:
        """Every hit in a text, sorted. ``lexed``, what :func:`.lexing.lex` gives, may be passed when at hand."""
        lexed = lex(text) if lexed is None else lexed
        hits = {*self._tests(text), *self._prompt(text), *self._code(lexed), *self._functions(text, lexed)}
        return sorted(hits)

    def _tests(self, text: str) -> Iterable[Hit]:
        for match in _CALL.finditer(text):
            checks = self._checks.get(match.group(1))
            if checks is None:
                continue
            start = match.start()
            near = squeeze(
                text[start : start + 3 * max(len(check.call) + len(check.expected) for check, _ in checks) + 60]
            )
            for check, problem in checks:
                if not near.startswith(check.call):
                    continue
                after = near[len(check.call) : len(check.call) + len(check.expected) + 12]
                if check.expected in after or len(check.call) >= LONG_CALL:
                    line = text.count("\n", 0, start) + 1
                    yield Hit("test", problem, line, line)

    def _prompt(self, text: str) -> Iterable[Hit]:
        lower = text.lower()
        words = _WORD.findall(lower)
        windows = _word_windows(words)
        if not len(windows):
            return
        slots = np.minimum(np.searchsorted(self._first_words, windows), len(self._first_words) - 1)
        for position in np.flatnonzero(self._first_words[slots] == windows).tolist():
            for prompt, problem in self._prompts[int(windows[position])]:
                if words[position : position + len(prompt)] == prompt:
                    matches = list(_WORD.finditer(lower))[position : position + len(prompt)]
                    first, last = (lower.count("\n", 0, match.start()) + 1 for match in (matches[0], matches[-1]))
                    yield Hit("prompt", problem, first, last)

    def _code(self, lexed: Lexed) -> Iterable[Hit]:
        copies = lexing.window_hashes(lexing.hash_tokens(lexed.tokens), COPY_WINDOW)
        structures = structure_hashes(lexed.tokens, STRUCTURE_WINDOW)
        for rule, windows, hashes in (("copy", self._copies, copies), ("structure", self._structures, structures)):
            for number, first, last in windows.found(hashes):
                end = lexed.lines[min(last + windows.width, len(lexed.lines)) - 1]
                yield Hit(rule, self._keys[number], lexed.lines[first], end)

    def _functions(self, text: str, lexed: Lexed) -> Iterable[Hit]:
        tokens = lexed.tokens
        if not any(self._suspect(tokens, index) for index, token in enumerate(tokens) if token == "def"):
            return  # parsing costs as much as all the rest
        for function in functions(text):
            named = self._named.get(_plain(function.name), []) if not function.name.startswith("__") else []
            tokens = _between(lexed, function.first, function.last)
            for wanted, size, problem in named:
                shared = sum((wanted & Counter(tokens)).values())
                if shared >= NAME_SHARE * max(size, len(tokens)):
                    yield Hit("name", problem, function.first, function.last)
            if SHORTEST <= len(tokens) < 2 * STRUCTURE_WINDOW:
                for problem in self._shapes.get(shape(tokens), []):
                    yield Hit("structure", problem, function.first, function.last)

    def _suspect(self, tokens: list[str], index: int) -> bool:
        """Whether the function that begins at a ``def`` may have a problem's name or shape."""
        if index + 1 < len(tokens) and _plain(tokens[index + 1]) in self._named:
            return True
        return shape(tokens[index : index + SHORTEST]) in self._openings


def functions(text: str) -> list[Function]:
    """Every function and method of a text that parses, inner ones too; none when it does not parse."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = []
    pending: list[ast.AST] = [tree]
    while pending:  # statements only: definitions never stand inside expressions
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found.append(Function(node.name, first, node.end_lineno or node.lineno))
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            pending.extend(getattr(node, name, None) or () if not isinstance(node, ast.Lambda | ast.IfExp) else ())
    return sorted(found, key=lambda function: (function.first, -function.last))


def prompt_words(prompt: str) -> list[str]:
    """The words that give a prompt away: without its lead where enough words remain, at most :data:`PROMPT_MOST`."""
    text = prompt.lower()
    core = _WORD.findall(_LEAD.sub("", text, count=1))
    whole = _WORD.findall(text)
    return (core if len(core) >= PROMPT_WORDS else whole)[:PROMPT_MOST]


def structure_hashes(tokens: list[str], width: int) -> Hashes:
    """As :func:`.lexing.window_hashes`, but blind to a consistent renaming of variables in each window."""
    count = len(tokens) - width + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    hashes = lexing.hash_tokens(tokens)
    back = np.zeros(len(tokens), dtype=np.int64)  # distance to the last use of the same variable; 0: no variable
    last: dict[str, int] = {}
    before = ""
    for index, token in enumerate(tokens):
        if _is_variable(token, before):
            back[index] = index - last.get(token, -(1 << 30))
            last[token] = index
        before = token
    variable = back > 0
    distance = back.astype(np.uint64) * _STEP
    total = np.zeros(count, dtype=np.uint64)
    for offset in range(width):
        part = slice(offset, offset + count)
        seen = np.where(back[part] <= offset, distance[part], _NEW)
        total = total * lexing._ODD + np.where(variable[part], seen, hashes[part])
    return lexing.mix(total)


def shape(tokens: list[str]) -> tuple[str | int, ...]:
    """Tokens with each variable replaced by the order of its first use."""
    order: dict[str, int] = {}
    result: list[str | int] = []
    before = ""
    for token in tokens:
        result.append(order.setdefault(token, len(order)) if _is_variable(token, before) else token)
        before = token
    return tuple(result)


def _is_variable(token: str, before: str) -> bool:
    return (token[0].isalpha() or token[0] == "_") and token not in _BUILTINS and before != "."


def _word_windows(words: list[str]) -> Hashes:
    return lexing.window_hashes(lexing.hash_tokens(words), PROMPT_WORDS)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _between(lexed: Lexed, first: int, last: int) -> list[str]:
    return lexed.tokens[bisect_left(lexed.lines, first) : bisect_left(lexed.lines, last + 1)]
