"""Changes a program in one or two small places, as a model that nearly solved a task might have written it.

Every change is drawn from a seed, so that a list of mutants is the same everywhere. Mutants may still be right, loop
for ever, fail to parse or raise: that mix is the point. Not covered: equivalence of a mutant with its original.
"""

import ast
import copy
import random
from collections.abc import Callable

_SWAP: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Pow),
    ast.Div: (ast.FloorDiv, ast.Mult),
    ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.FloorDiv,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
Change = Callable[[random.Random], None]


def mutant(source: str, seed: int, changes: int = 1) -> str:
    """The program with ``changes`` small changes; one in twenty is text that does not parse.

    Args:
        source: a valid program.
        seed: decides everything.
        changes: how many places change, where there are so many.
    """
    choose = random.Random(seed)
    if choose.random() < 0.05:
        return source[: choose.randrange(1, max(2, len(source)))]
    tree = copy.deepcopy(ast.parse(source))
    for _ in range(changes):
        if places := _places(tree):
            choose.choice(places)(choose)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _places(tree: ast.AST) -> list[Change]:
    places: list[Change] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in _SWAP:
            places.append(_operator(node))
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAP:
            places.append(_comparison(node))
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            places.append(_number(node))
        elif isinstance(node, ast.If | ast.While):
            places.append(_condition(node))
        elif isinstance(node, ast.Return) and node.value is not None:
            places.append(_nothing(node))
        if isinstance(node, ast.FunctionDef | ast.For | ast.While | ast.If) and len(node.body) > 1:
            places.append(_statement(node))
    return places


def _operator(node: ast.BinOp | ast.AugAssign | ast.BoolOp) -> Change:
    def change(choose: random.Random) -> None:
        node.op = choose.choice(_SWAP[type(node.op)])()  # type: ignore[assignment]

    return change


def _comparison(node: ast.Compare) -> Change:
    def change(choose: random.Random) -> None:
        node.ops[0] = choose.choice(_SWAP[type(node.ops[0])])()  # type: ignore[call-overload]

    return change


def _number(node: ast.Constant) -> Change:
    def change(choose: random.Random) -> None:
        node.value = node.value + choose.choice((-1, 1))  # type: ignore[operator]

    return change


def _condition(node: ast.If | ast.While) -> Change:
    def change(_: random.Random) -> None:
        node.test = ast.UnaryOp(ast.Not(), node.test)

    return change


def _nothing(node: ast.Return) -> Change:
    def change(_: random.Random) -> None:
        node.value = None

    return change


def _statement(node: ast.FunctionDef | ast.For | ast.While | ast.If) -> Change:
    def change(choose: random.Random) -> None:
        del node.body[choose.randrange(len(node.body))]

    return change
