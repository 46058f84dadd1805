"""Splits a test into the candidate's calls, which go to the child, and the rest, which is judged here.

In ``assert f(2) == 4`` the call ``f(2)`` goes to the child and ``== 4`` stays. The rule: a call, attribute or subscript
that starts from a name of the program or its setup goes as a whole; comparisons, ``and``/``or``/``not``, arithmetic,
displays and a fixed list of builtins and ``math`` functions over such answers are computed here; statements other than
``assert`` are executed in the child. Refused, with the test named, where splitting would show an expected value to the
child or need more of Python than this: asserts inside loops, ``with`` or ``try``, comparisons inside a comprehension
or lambda that also uses the program. None of the 974 tasks of MBPP needs what is refused.
"""

import ast
import builtins
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from codelab.errors import UserError
from codelab.sandbox.decode import Answer
from codelab.sandbox.expression import MODULES, SAFE, Evaluate, Expression, NotPlainAnswerError, Raised

_ROOTS = (ast.Attribute, ast.Subscript, ast.Call)


@dataclass(frozen=True)
class Step:
    """One thing for the child to do: ``x`` executes statements, ``e`` evaluates an expression and answers."""

    kind: str
    source: str


@dataclass(frozen=True)
class Outcome:
    """What came of one test: it held, or the failure class and one line."""

    failure: str
    detail: str = ""


@dataclass(frozen=True)
class Plan:
    """A task's tests, split.

    Attributes:
        steps: for the child, in order.
        judges: one a test: the asserts in it, each with its text.
    """

    steps: tuple[Step, ...]
    judges: tuple[tuple[Evaluate, ...], ...]

    @cached_property
    def json(self) -> str:
        """The steps as the child reads them."""
        return json.dumps([[step.kind, step.source] for step in self.steps])

    def verdicts(self, answers: Sequence[Answer]) -> list[Outcome | None]:
        """One outcome a test; None where its answers did not come."""
        return [self._one(judges, answers) for judges in self.judges]

    @staticmethod
    def _one(judges: tuple[Evaluate, ...], answers: Sequence[Answer]) -> Outcome | None:
        for judge in judges:
            try:
                if not judge(answers):
                    return Outcome("wrong_value", "the test does not hold")
            except IndexError:
                return None
            except Raised as error:
                return Outcome(error.answer.kind, error.answer.detail)
            except NotPlainAnswerError as error:
                return Outcome("wrong_value", f"the answer is {error}")
            except Exception as error:  # a comparison of unlike types, say: the test does not hold
                return Outcome("wrong_value", f"cannot be compared: {type(error).__name__}")
        return Outcome("none")


@lru_cache(maxsize=4096)
def plan(setup: str, tests: tuple[str, ...], defined: frozenset[str], where: str = "test") -> Plan:
    """Split a task's tests; kept, since every sample of a task needs the same plan.

    Args:
        setup: code that runs in the child before the tests.
        tests: sources of the tests.
        defined: names that the program defines, even where a builtin has the same name.
        where: the task, for errors.

    Raises:
        UserError: a test cannot be split.
    """
    splitter = _Splitter(set(defined))
    if setup.strip():
        splitter.execute(ast.parse(setup).body)
    judges: list[tuple[Evaluate, ...]] = []
    for number, test in enumerate(tests, start=1):
        try:
            judges.append(splitter.test(ast.parse(test).body))
        except (_CannotSplitError, SyntaxError) as error:
            raise UserError(f"{where}, test {number}: cannot be judged outside the child: {error}") from error
    return Plan(tuple(splitter.steps), tuple(judges))


class _CannotSplitError(Exception):
    """The test shows an expected value to the child, or is of a form that is not covered."""


class _Splitter:
    def __init__(self, candidate: set[str]) -> None:
        self.candidate = candidate
        self.steps: list[Step] = []

    def execute(self, body: Sequence[ast.stmt]) -> int:
        """Add statements for the child; returns the step's number."""
        for node in (node for statement in body for node in ast.walk(statement)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.candidate.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.candidate.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
                self.candidate |= names - MODULES.keys()
        self.steps.append(Step("x", ast.unparse(ast.Module(list(body), []))))
        return len(self.steps) - 1

    def test(self, body: Sequence[ast.stmt]) -> tuple[Evaluate, ...]:
        judges: list[Evaluate] = []
        for statement in body:
            if isinstance(statement, ast.Assert):
                judges.append(Expression(self).build(statement.test))
            elif any(isinstance(node, ast.Assert) for node in ast.walk(statement)):
                raise _CannotSplitError("an assert inside another statement")
            else:
                number = self.execute([statement])
                judges.append(_executed(number))
        return tuple(judges)

    def uses_candidate(self, node: ast.AST) -> bool:
        """Whether anything in an expression comes from the program or its setup."""
        bound: set[str] = set()
        read: set[str] = set()
        waiting: list[ast.AST] = [node]
        while waiting:
            part = waiting.pop()
            if isinstance(part, ast.Name):
                (bound if isinstance(part.ctx, ast.Store) else read).add(part.id)
            elif isinstance(part, ast.arg):
                bound.add(part.arg)
            elif not isinstance(part, ast.Constant):  # most of a test is constants
                waiting += ast.iter_child_nodes(part)
        return any(self.is_candidate(name) for name in read - bound)

    def is_candidate(self, name: str) -> bool:
        """Whether a name is the program's: it defines it, or neither Python nor the judge knows it."""
        return name in self.candidate or not (name in SAFE or name in MODULES or hasattr(builtins, name))

    def is_root(self, node: ast.expr) -> bool:
        """Whether a chain of calls, attributes and subscripts starts from a name of the program."""
        while isinstance(node, _ROOTS):
            node = node.func if isinstance(node, ast.Call) else node.value
        return isinstance(node, ast.Name) and self.is_candidate(node.id)

    def ask(self, node: ast.expr) -> int:
        """Add a call for the child; returns the step's number.

        Raises:
            _CannotSplitError: it would carry a comparison, and with it perhaps an expected value.
        """
        if not self.is_root(node) and any(isinstance(part, ast.Compare | ast.BoolOp) for part in ast.walk(node)):
            raise _CannotSplitError("a comparison that only the child could make")
        self.steps.append(Step("e", ast.unparse(node)))
        return len(self.steps) - 1


def _executed(number: int) -> Evaluate:
    def judge(answers: Sequence[Answer]) -> bool:
        answer = answers[number]
        if answer.kind not in ("v", "x"):
            raise Raised(answer)
        return True

    return judge
