"""How a task is put to a model, and how a program is taken out of what it answers; declared here and nowhere else.

A style says how many tests are shown and in which form. The stop rule ends a completion where the program is whole and
never cuts helper code: it looks at the syntax tree, not at strings that valid programs contain. Not covered: chat
templates (the tokenizer's) and sampling.
"""

import ast
import builtins
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from codelab.errors import UserError
from codelab.tasks.mbpp import Task, defined_names

Form = Literal["docstring", "instruction", "shots", "chat"]


@dataclass(frozen=True)
class Style:
    """One way to ask.

    Attributes:
        name: what recipes call it.
        form: ``docstring``: the question and tests as a module docstring, answered by code. ``instruction``: a plain
            heading form for instruction tuning. ``shots``: solved examples of the prompting split first. ``chat``: one
            user message, answered with a fenced block.
        tests: how many of the tests the model sees.
        opens: the prompt ends with ``def name(``, so that the answer goes on from there.
    """

    name: str
    form: Form
    tests: int = 3
    opens: bool = False


STYLES: dict[str, Style] = {
    style.name: style
    for style in (
        Style("docstring", "docstring", tests=3),
        Style("docstring-1", "docstring", tests=1),
        Style("docstring-0", "docstring", tests=0),
        Style("signature", "docstring", tests=3, opens=True),
        Style("instruction", "instruction", tests=3),
        Style("shots", "shots", tests=3),
        Style("chat", "chat", tests=3),
    )
}
"""Every prompt style, by the name that recipes use."""

SHOTS: tuple[int, ...] = (2, 3, 4)
"""Tasks of the prompting split whose solutions the form ``shots`` shows."""

_HARD_STOPS: dict[Form, tuple[str, ...]] = {
    "docstring": ("<|endoftext|>", "\n```"),
    "instruction": ("<|endoftext|>", "\n### ", "\n```"),
    "shots": ("<|endoftext|>", "\n[END]"),
    "chat": ("<|endoftext|>", "<|im_end|>"),
}
_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.S | re.M)
_STATEMENT = re.compile(r"^(?=[^\s#)\]}])", re.M)


def style_named(name: str | Style) -> Style:
    """The style of a name.

    Raises:
        UserError: no such style.
    """
    if isinstance(name, Style):
        return name
    if name not in STYLES:
        raise UserError(f"prompt style {name!r}: expected one of {', '.join(STYLES)}")
    return STYLES[name]


def prompt(task: Task, style: str | Style, shots: Sequence[Task] = ()) -> str:
    """The text that the model continues (for ``chat``: the user's message, before the chat template).

    Args:
        task: the question.
        style: a name of :data:`STYLES`.
        shots: solved tasks for the form ``shots``: those of :data:`SHOTS`.

    Raises:
        UserError: no such style, or a style with examples and none given.
    """
    style = style_named(style)
    tests = [test.strip() for test in task.tests[: style.tests]]
    if style.form == "docstring":
        # A question holding three quotes would end the docstring.
        body = "\n".join([task.text, *tests]).replace('"""', "'''")
        return f'"""\n{body}\n"""\n' + (f"def {task.entry_point}(" if style.opens else "")
    if style.form == "shots":
        if not shots:
            raise UserError(f"prompt style {style.name!r}: needs the tasks {', '.join(map(str, SHOTS))} as examples")
        solved = "".join(f"{_problem(shot, style)}{shot.code.strip()}\n[END]\n\n" for shot in shots)
        return solved + _problem(task, style)
    shown = "It must pass these tests:\n" + "\n".join(tests) if tests else ""
    if style.form == "instruction":
        return f"### Task\n{task.text}\n{shown}\n### Python\n" if shown else f"### Task\n{task.text}\n### Python\n"
    return f"{task.text}\n{shown}\nAnswer with one Python code block and nothing else." if shown else task.text


def messages(task: Task, style: str | Style = "chat") -> list[dict[str, str]]:
    """The same question as chat messages, for a tokenizer's chat template."""
    return [{"role": "user", "content": prompt(task, style)}]


def target(task: Task, style: str | Style) -> str:
    """The reference solution as the completion that follows :func:`prompt`, for supervised training."""
    style = style_named(style)
    code = task.code.strip() + "\n"
    if style.form == "chat":
        return f"```python\n{code}```"
    if style.form == "shots":
        return f"{code}[END]\n"
    if style.opens:
        head, found, tail = code.partition(f"def {task.entry_point}(")
        if not found or head.strip():
            raise UserError(f"task {task.task_id}: the solution does not begin with its function")
        return tail
    return code


def _problem(task: Task, style: Style) -> str:
    tests = "\n".join(test.strip() for test in task.tests[: style.tests])
    return f"[TASK]\n{task.text}\n{tests}\n[PYTHON]\n"


@dataclass(frozen=True)
class StopRule:
    """When to stop generating.

    Attributes:
        style: the style that was asked in.
        entry_point: the function that the tests call.
        needed: every name that the tests take from the program.
        strings: texts that cannot stand in an answer; safe as an engine's stop strings.
    """

    style: Style
    entry_point: str
    needed: frozenset[str]
    strings: tuple[str, ...]

    def finished(self, completion: str) -> bool:
        """Whether nothing that follows can change the program that :func:`extract` takes out.

        True once a hard stop was written, or once a statement has begun after the function that the tests call, and
        everything that this function needs is defined; stays true however the text goes on. A program whose helper
        comes after it is left to go on.
        """
        if self.style.form == "chat":
            return len(re.findall(r"^[ \t]*```", completion, re.M)) >= 2
        if any(stop in completion for stop in self.strings):
            return True
        text = _opened(completion, self.style, self.entry_point)
        # Every boundary counts, not the last alone: what was finished stays finished, whatever follows.
        return any(_closed(text[: match.start()], self.needed) for match in _STATEMENT.finditer(text) if match.start())


def stop_rule(task: Task, style: str | Style) -> StopRule:
    """The stop rule of a task in a style."""
    style = style_named(style)
    return StopRule(style, task.entry_point, task.needed_names, _HARD_STOPS[style.form])


def extract(completion: str, task: Task, style: str | Style) -> str:
    """The program in a completion.

    The longest run of whole top-level statements from the start, ended early where the tested function and all that it
    needs is there. What does not parse at all comes back as it is, and is judged a syntax error. Top-level code that
    valid programs use (``if``, ``for``, ``print``, further functions) is kept while the function is not complete.

    Args:
        completion: what the model wrote after the prompt.
        task: the question.
        style: the style that it was asked in.
    """
    style = style_named(style)
    if style.form == "chat":
        text = _fenced(completion, task.entry_point)
    else:
        text = completion
        if style.form in {"docstring", "instruction"} and text.lstrip().startswith("```"):
            text = _fenced(completion, task.entry_point)
        for stop in _HARD_STOPS[style.form]:
            text = text.partition(stop)[0]
        text = _opened(text, style, task.entry_point)
    return _whole(text.replace("\r\n", "\n"), task.needed_names)


def _opened(completion: str, style: Style, entry_point: str) -> str:
    return f"def {entry_point}({completion}" if style.opens else completion


def _fenced(text: str, entry_point: str) -> str:
    blocks: list[str] = _FENCE.findall(text)
    named = [block for block in blocks if re.search(rf"^\s*(?:async\s+)?def\s+{re.escape(entry_point)}\b", block, re.M)]
    return (named or blocks or [text])[0]


def _whole(text: str, needed: frozenset[str]) -> str:
    """The program cut after its last whole statement, or earlier where it is complete."""
    ends = [match.start() for match in _STATEMENT.finditer(text)][1:]
    for end in ends:
        if _closed(text[:end], needed):
            return text[:end]
    if _parses(text):
        return text
    # Statements are dropped from the end: at first the one that the length limit cut, seldom more.
    for end in reversed(ends[-200:]):
        if _parses(text[:end]):
            return text[:end] if needed <= defined_names(ast.parse(text[:end])) else text
    return text


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except _UNPARSABLE:
        return False
    return True


@lru_cache(maxsize=8192)  # a growing completion is asked about the same beginnings again and again
def _closed(source: str, needed: frozenset[str]) -> bool:
    """Whether the source parses, defines what the tests need, and every global name that it uses."""
    if not all(name in source for name in needed):
        return False
    try:
        tree = ast.parse(source)
    except _UNPARSABLE:
        return False
    if not needed <= defined_names(tree):
        return False
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in tree.body):
        return True
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)} | defined_names(tree)
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return not {name for name in used - bound if not hasattr(builtins, name)}
