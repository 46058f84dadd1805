"""How a function's code uses its parameters: votes for types, and the constants that its branches ask for.

A slot stands for a parameter or a part of one; names that are bound to it, loops over it and subscripts of it lead to
the same slots. The reading is a guess that running confirms or refutes. Not covered: what helpers do with a value.
"""

import ast
from collections.abc import Mapping
from itertools import zip_longest

from codelab.tasks.tested import names
from codelab.tasks.tested.slots import Slot


def of_function(function: ast.FunctionDef) -> dict[str, Slot]:
    """One slot a parameter, that of ``*values`` among them."""
    a = function.args
    more = [a.vararg] if a.vararg else []
    slots = {argument.arg: Slot() for argument in (*a.posonlyargs, *a.args, *a.kwonlyargs, *more)}
    plain = [*a.posonlyargs, *a.args]
    given = {one.arg: value.value for one, value in zip(plain[::-1], a.defaults[::-1], strict=False)
             if isinstance(value, ast.Constant)}  # fmt: skip
    reader = _Reader(slots, given)
    for statement in function.body:
        reader.visit(statement)
    return slots


class _Reader(ast.NodeVisitor):
    def __init__(self, slots: Mapping[str, Slot], defaults: Mapping[str, object]) -> None:
        self.names: dict[str, Slot | None] = dict(slots)
        self.defaults = defaults

    def slot(self, node: ast.AST) -> Slot | None:
        """The slot that an expression stands for, if it does."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Subscript):
            base = self.slot(node.value)
            if base is None or isinstance(node.slice, ast.Slice):
                return base
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                return base.fields.setdefault(node.slice.value, Slot())
            return base.element
        return self._slot_of_call(node) if isinstance(node, ast.Call) else None

    def _slot_of_call(self, node: ast.Call) -> Slot | None:
        if isinstance(node.func, ast.Name):
            return self.slot(node.args[0]) if node.func.id in names.THROUGH and node.args else None
        base = self.slot(node.func.value) if isinstance(node.func, ast.Attribute) else None
        if base is None or not isinstance(node.func, ast.Attribute):
            return None
        if node.func.attr == "get" and node.args and isinstance(node.args[0], ast.Constant):
            return base.fields.setdefault(str(node.args[0].value), Slot())
        return base if node.func.attr in names.SAME else base.value if node.func.attr == "values" else None

    def vote(self, node: ast.AST, *votes: str) -> Slot | None:
        if (slot := self.slot(node)) is not None:
            slot.votes.update(votes)
        return slot

    def bind(self, target: ast.expr, slot: Slot | None) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = slot
            if slot is not None:
                slot.alias = slot.alias or target.id
        elif isinstance(target, ast.Tuple | ast.List):
            for part in target.elts:
                self.bind(part, None)

    def loop(self, target: ast.expr, source: ast.expr) -> None:
        """Bind a loop's target to the elements of what it runs over."""
        pair = target.elts if isinstance(target, ast.Tuple | ast.List) else []
        if isinstance(source, ast.Call):
            name = source.func.id if isinstance(source.func, ast.Name) else ""
            if name == "enumerate" and source.args and len(pair) == 2:
                self.bind(pair[0], None)
                return self.loop(pair[1], source.args[0])
            if name == "zip" and len(pair) == len(source.args):
                for part, argument in zip(pair, source.args, strict=True):
                    self.loop(part, argument)
                return None
            base = self.slot(source.func.value) if isinstance(source.func, ast.Attribute) else None
            if base is not None and isinstance(source.func, ast.Attribute):
                way = source.func.attr
                if way == "items" and len(pair) == 2:
                    self.bind(pair[0], base.key)
                    return self.bind(pair[1], base.value)
                if way in ("keys", "values"):
                    return self.bind(target, base.key if way == "keys" else base.value)
        slot = self.vote(source, "iter")
        if slot is None:
            return self.bind(target, None)
        if pair and not any(isinstance(part, ast.Starred) for part in pair):
            for part, inner in zip(pair, slot.unpacked(len(pair)), strict=True):
                self.bind(part, inner)
            return None
        return self.bind(target, slot.element)

    def visit_For(self, node: ast.For) -> None:
        self.loop(node.target, node.iter)
        self.generic_visit(node)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        kept = dict(self.names)
        for part in node.generators:
            self.visit(part.iter)
            self.loop(part.target, part.iter)
            for condition in part.ifs:
                self.visit(condition)
        for inner in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(inner)
        self.names = kept

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension  # noqa: N815

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        slot = self.slot(node.value)
        for target in node.targets:
            if isinstance(target, ast.Tuple | ast.List) and isinstance(node.value, ast.Tuple):
                slots = [self.slot(part) for part in node.value.elts]
                for part, inner in zip(target.elts, slots, strict=False):
                    self.bind(part, inner)
            elif isinstance(target, ast.Tuple | ast.List) and slot is not None:
                if any(isinstance(part, ast.Starred) for part in target.elts):
                    slot.votes["list"] += 1
                else:
                    slot.taken_apart = slot.taken_apart or [Slot() for _ in target.elts]
                for part, inner in zip_longest(target.elts, slot.taken_apart):
                    self.bind(part, inner or slot.element)
            elif isinstance(target, ast.Name):
                self.bind(target, slot)
            else:
                self.visit(target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._arithmetic(node.op, node.target, node.value)
        self.visit(node.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        self._arithmetic(node.op, node.left, node.right)
        self.generic_visit(node)

    def _arithmetic(self, op: ast.operator, left: ast.expr, right: ast.expr) -> None:
        for one, other in ((left, right), (right, left)):
            if isinstance(op, ast.Mod) and isinstance(left, ast.Constant | ast.JoinedStr) and one is right:
                continue  # formatting takes anything
            if isinstance(op, ast.FloorDiv | ast.Mod | ast.LShift | ast.RShift):
                self.vote(one, "int")
            elif isinstance(op, ast.BitAnd | ast.BitOr | ast.BitXor):
                self.vote(one, "set" if isinstance(other, ast.Call) else "int")
            elif isinstance(op, ast.Add):
                if isinstance(other, ast.Constant | ast.JoinedStr):
                    text = isinstance(other, ast.JoinedStr) or isinstance(other.value, str)
                    self.vote(one, "str" if text else "num")
                elif isinstance(other, ast.List | ast.ListComp):
                    self.vote(one, "list")
            else:
                self.vote(one, "num")

    def visit_Starred(self, node: ast.Starred) -> None:
        self.vote(node.value, "iter", "iter")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.USub):
            self.vote(node.operand, "num")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                self._membership(left, right)
            else:
                for one, other in ((left, right), (right, left)):
                    self._compared(one, other)
            left = right
        self.generic_visit(node)

    def _membership(self, item: ast.expr, container: ast.expr) -> None:
        outer = self.vote(container, "has")
        if outer is not None and isinstance(item, ast.Constant) and isinstance(item.value, str):
            outer.inside.append(item.value)
        inner = self.slot(item)
        if inner is not None and isinstance(container, ast.List | ast.Tuple | ast.Set | ast.Dict):
            parts = container.keys if isinstance(container, ast.Dict) else container.elts
            for part in parts:
                if part is not None:
                    self._compared(item, part)
        elif inner is not None and isinstance(container, ast.Constant) and isinstance(container.value, str):
            inner.votes["str"] += 1
            inner.whole += list(container.value[:6])

    def _compared(self, one: ast.expr, other: ast.expr) -> None:
        slot = self.slot(one)
        if slot is None:
            return
        try:
            value = ast.literal_eval(other)
        except (ValueError, TypeError, SyntaxError):
            return
        if isinstance(value, bool | int | float | str):
            slot.votes["int" if type(value) is int else type(value).__name__] += 1
            slot.whole.append(value)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            self._method(node, node.func)
        elif isinstance(node.func, ast.Name):
            self._function(node, node.func.id)
        self.generic_visit(node)

    def _method(self, node: ast.Call, func: ast.Attribute) -> None:
        values = [
            part.value if isinstance(part, ast.Constant) else self.defaults.get(part.id)
            for part in node.args
            if isinstance(part, ast.Constant | ast.Name)
        ]
        texts = [value for value in values if isinstance(value, str)]
        if isinstance(func.value, ast.Name) and func.value.id == "re" and node.args:
            at = min(2 if func.attr == "sub" else 1, len(node.args) - 1)
            if (slot := self.vote(node.args[at], "str", "str")) is not None and texts and at:
                slot.patterns.append(texts[0])
            return
        if isinstance(func.value, ast.Name) and func.value.id == "math":
            for part in node.args:
                self.vote(part, "int" if func.attr in names.WHOLE_NUMBERS_OF_MATH else "num")
            return
        if func.attr == "join" and node.args and (slot := self.vote(node.args[0], "iter")) is not None:
            slot.element.votes["str"] += 2
        slot = self.slot(func.value)
        if slot is None:
            return
        if func.attr in names.PROBES:
            slot.inside += texts
        for methods, vote in ((names.STRING, "str"), (names.LIST, "list"), (names.DICT, "dict"), (names.SET, "set")):
            if func.attr in methods:
                slot.votes[vote] += 2
                return
        if func.attr in ("get", "update"):
            slot.votes["dict"] += 1
        elif func.attr in ("index", "count", "pop"):
            slot.votes["seq"] += 1
        elif func.attr not in names.SHARED:
            slot.foreign = True

    def _function(self, node: ast.Call, name: str) -> None:
        if (called := self.names.get(name)) is not None:
            called.foreign = True
        first = node.args[0] if node.args else None
        if first is None:
            return
        if name in ("sum", "fsum") or (name in ("max", "min") and len(node.args) == 1):
            if (slot := self.vote(first, "iter")) is not None and not node.keywords:
                slot.element.votes["num"] += 1
        elif name in ("len", *names.THROUGH):
            self.vote(first, "seq")
        elif name == "int" and (slot := self.slot(first)) is not None:
            slot.votes["num" if not node.args[1:] else "str"] += 1
            slot.whole += ["12", "7"]
        elif name == "ord":
            self.vote(first, "str")
        elif name == "isinstance" and len(node.args) == 2:
            wanted = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
            self.vote(first, *[part.id for part in wanted if isinstance(part, ast.Name) and part.id in names.TYPES])
        else:
            kinds = {"num": names.NUMBERS, "int": names.WHOLE_NUMBERS, "iter": names.EACH}
            votes = [vote for vote, functions in kinds.items() if name in functions]
            for part in node.args:
                self.vote(part, *votes)
        for word in node.keywords:
            if word.arg == "key" and isinstance(word.value, ast.Lambda) and (slot := self.slot(first)) is not None:
                self.names[word.value.args.args[0].arg if word.value.args.args else "_"] = slot.element

    def visit_Subscript(self, node: ast.Subscript) -> None:
        base = self.slot(node.value)
        if base is not None:
            if isinstance(node.slice, ast.Slice):
                base.votes["seq"] += 1
            elif not (isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str)):
                base.votes["seq_index"] += 1
                at = node.slice.value if isinstance(node.slice, ast.Constant) else None
                base.reach = max(base.reach, at + 1) if isinstance(at, int) and 0 <= at < 6 else base.reach
                self.vote(node.slice, "int")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        known = names.STRING | names.LIST | names.DICT | names.SET | names.SHARED | {"real", "imag"}
        slot = self.slot(node.value)
        if slot is not None and node.attr not in known:
            slot.foreign = True
        self.generic_visit(node)
