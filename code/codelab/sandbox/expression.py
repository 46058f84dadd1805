"""Evaluates, in the parent, the part of a test that is not the candidate's: over answers, with bounded work.

Only the nodes and functions named here are known. Sizes are bounded where an answer could make a harmless looking
operation endless (``**``, ``<<``, repetition, ``range``). Not covered: everything else of Python, which
``codelab.sandbox.plan`` refuses.
"""

import ast
import cmath
import collections
import math
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from codelab.sandbox.decode import Answer, spread

Evaluate = Callable[[Sequence[Answer]], Any]
_LARGE = 1_000_000


class Raised(Exception):  # noqa: N818 - not an error of this code: the candidate's call raised
    """A call whose answer the test needs raised in the child."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.detail)
        self.answer = answer


class NotPlainAnswerError(Exception):
    """A call whose answer the test needs gave an object that is not plain."""


class TooLargeError(Exception):
    """An operation that an answer made too large for the judge."""


class Splitter(Protocol):
    """What :class:`Expression` needs of the splitter."""

    def uses_candidate(self, node: ast.AST) -> bool:
        """Whether anything in it comes from the program."""

    def is_root(self, node: ast.expr) -> bool:
        """Whether it is a chain that starts from a name of the program."""

    def ask(self, node: ast.expr) -> int:
        """Send it to the child; the number of its answer."""


def _range(*bounds: int) -> range:
    made = range(*bounds)
    if not -1 < len(made) <= _LARGE:
        raise TooLargeError("range")
    return made


SAFE: dict[str, Callable[..., Any]] = {
    "set": lambda items=(): set(spread(items)),
    "frozenset": lambda items=(): frozenset(spread(items)),
    "dict": lambda items=(), **more: dict(items, **more),
    "Counter": lambda items=(): collections.Counter(spread(items)),
    "range": _range,
    **{kind.__name__: kind for kind in (bool, int, float, complex, str, list, tuple, bytes)},
    **{
        f.__name__: f
        for f in (len, abs, round, sorted, sum, min, max, all, any, zip, enumerate, repr, isinstance, type)
    },
}
"""Builtins that the judge computes itself."""

MODULES: dict[str, frozenset[str]] = {
    "math": frozenset({"isclose", "sqrt", "pi", "e", "inf", "nan", "floor", "ceil", "fabs", "isnan", "isinf"}),
    "cmath": frozenset({"isclose", "sqrt", "pi", "e"}),
    "sys": frozenset({"getsizeof", "maxsize"}),
    "collections": frozenset({"Counter"}),
}
"""Modules whose named members the judge may use."""

_MODULE_OBJECTS: dict[str, Any] = {"math": math, "cmath": cmath, "sys": sys, "collections": collections}

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}


class Expression:
    """Builds a function from answers to the expression's value; sends the candidate's calls to the child on the way."""

    def __init__(self, splitter: Splitter) -> None:
        self.splitter = splitter

    def build(self, node: ast.expr) -> Evaluate:  # noqa: PLR0911 - one branch a node type
        """The evaluator of one expression."""
        if self.splitter.uses_candidate(node):
            if self.splitter.is_root(node):
                return _asked(self.splitter.ask(node))
        else:
            try:
                constant = ast.literal_eval(node)
            except (ValueError, TypeError, SyntaxError, RecursionError):
                pass
            else:
                return lambda answers: constant
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.BoolOp):
            return self._bool(node)
        if isinstance(node, ast.UnaryOp):
            operand, apply = self.build(node.operand), _UNARY[type(node.op)]
            return lambda answers: apply(operand(answers))
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            left, right, kind = self.build(node.left), self.build(node.right), type(node.op)
            return lambda answers: _binary(kind, left(answers), right(answers))
        if isinstance(node, ast.IfExp):
            test, yes, no = self.build(node.test), self.build(node.body), self.build(node.orelse)
            return lambda answers: yes(answers) if test(answers) else no(answers)
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            displays: dict[type, Callable[..., Any]] = {ast.List: list, ast.Tuple: tuple, ast.Set: SAFE["set"]}
            make = displays[type(node)]
            items = [self.build(item) for item in node.elts]
            return lambda answers: make([item(answers) for item in items])
        if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
            value, index = self.build(node.value), self.build(node.slice)
            return lambda answers: value(answers)[index(answers)]
        if isinstance(node, ast.Call) and (function := _function(node.func)) and _plain_arguments(node):
            positional = [self.build(argument) for argument in node.args]
            named = {word.arg or "": self.build(word.value) for word in node.keywords}
            return lambda answers: function(
                *[argument(answers) for argument in positional],
                **{name: value(answers) for name, value in named.items()},
            )
        if (member := _function(node)) is not None:
            return lambda answers: member
        return _asked(self.splitter.ask(node))

    def _compare(self, node: ast.Compare) -> Evaluate:
        first, rest = self.build(node.left), [self.build(item) for item in node.comparators]
        steps = [(_COMPARE[type(sign)], item) for sign, item in zip(node.ops, rest, strict=True)]

        def evaluate(answers: Sequence[Answer]) -> bool:
            left = first(answers)
            for compare, item in steps:
                right = item(answers)
                if not compare(left, right):
                    return False
                left = right
            return True

        return evaluate

    def _bool(self, node: ast.BoolOp) -> Evaluate:
        parts = [self.build(value) for value in node.values]
        stop_at = isinstance(node.op, ast.Or)

        def evaluate(answers: Sequence[Answer]) -> Any:
            value: Any = None
            for part in parts:
                value = part(answers)
                if bool(value) is stop_at:
                    break
            return value

        return evaluate


def _asked(number: int) -> Evaluate:
    def evaluate(answers: Sequence[Answer]) -> Any:
        answer = answers[number]
        if answer.kind == "v":
            return answer.value
        if answer.kind == "x":
            raise NotPlainAnswerError(answer.detail)
        raise Raised(answer)

    return evaluate


def _function(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return SAFE.get(node.id)
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
        return None
    known = node.attr in MODULES.get(node.value.id, ())
    return getattr(_MODULE_OBJECTS[node.value.id], node.attr) if known else None


def _plain_arguments(node: ast.Call) -> bool:
    arguments: Iterable[ast.expr] = [*node.args, *(word.value for word in node.keywords)]
    lazy = (ast.Starred, ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
    return all(word.arg for word in node.keywords) and not any(isinstance(argument, lazy) for argument in arguments)


def _binary(kind: type[ast.operator], left: Any, right: Any) -> Any:
    sized = (str, bytes, bytearray, list, tuple, collections.deque)
    if kind is ast.Mult and (isinstance(left, sized) or isinstance(right, sized)):
        length, times = (len(left), right) if isinstance(left, sized) else (len(right), left)
        if isinstance(times, int) and length * times > _LARGE:
            raise TooLargeError("repetition")
    if kind is ast.Mod and isinstance(left, str | bytes | bytearray):
        raise TooLargeError("formatting")
    if kind in (ast.Pow, ast.LShift) and isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * right if kind is ast.Pow else left.bit_length() + right
        if bits > _LARGE:
            raise TooLargeError("a power")
    return _BINARY[kind](left, right)
