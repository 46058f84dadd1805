"""Kinds of arguments: what a parameter may be, from its annotation, its default, its name and how the code uses it.

A kind is a plain type with its parts, such as a list of integers. Not covered: objects, callables, bytes and files; a
parameter that needs one is said to (:class:`NeedsObjectError`), and its function gets no tests.
"""

import ast
import re
from dataclasses import dataclass
from typing import Any

from codelab.tasks.tested.slots import Slot


@dataclass(frozen=True)
class Kind:
    """A type of plain value.

    Attributes:
        name: int, float, str, bool, none, list, tuple, set, dict or record (a dict with known keys).
        parts: of the elements; key and value of a dict; one a place of a tuple; one a key of a record.
        keys: of a record.
    """

    name: str
    parts: tuple["Kind", ...] = ()
    keys: tuple[str, ...] = ()


class NeedsObjectError(Exception):
    """A parameter that no plain value can be given for, or of which nothing says what it is."""


INT, FLOAT, STR, BOOL, NONE = (Kind(name) for name in ("int", "float", "str", "bool", "none"))
_SCALARS = {
    "int": INT, "float": FLOAT, "str": STR, "bool": BOOL, "Text": STR, "AnyStr": STR, "None": NONE, "complex": FLOAT,
    "Number": INT, "Real": FLOAT, "Integral": INT, "SupportsFloat": FLOAT, "SupportsInt": INT,
}  # fmt: skip
_LISTS = frozenset({"list", "List", "Sequence", "Iterable", "Collection", "MutableSequence", "Iterator", "Container"})
_SETS = frozenset({"set", "Set", "frozenset", "FrozenSet", "AbstractSet", "MutableSet"})
_DICTS = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "DefaultDict", "defaultdict", "Counter"})
_OPEN = frozenset({"Any", "object", "T", "K", "V", "_T", "Hashable", "Optional", "Union"})
_LIST_NAMES = re.compile(
    r"^(arr|array|lst|li|l|xs|ys|nums|numbers|values|vals|items|data|seq|sequence|list\d?|a_list|elements|points|"
    r"weights|prices|scores|heights|costs|coins|integers|ints|digits|iterable|collection|vector|vec|\w+_list)$"
)
_TEXTS_NAMES = re.compile(
    r"^(\w+_)?(words|strings|lines|names|strs|tokens|keys|labels|sentences|args|parts|paths|files|cols|texts)$"
)
_STR_NAMES = re.compile(
    r"^(s|s\d|st|str\d?|string\d?|text|txt|word|line|name|sentence|char|ch|letter|path|url|filename|file_name|key|"
    r"message|msg|content|title|label|pattern|prefix|suffix|sep|delimiter|token|phrase|input_str\w*|input_string|"
    r"\w+_(str|string|name|text|path|url|key))$"
)
_INT_NAMES = re.compile(
    r"^(n|m|k|i|j|num|number|x|y|z|a|b|c|count|size|length|width|height|limit|start|end|stop|step|index|idx|pos|year|"
    r"month|day|hour|minute|seconds?|total|digit|base|exponent|exp|low|high|min\w*|max\w*|num_\w+|n_\w+|\w+_(count|"
    r"size|num|id|index|len|length))$"
)
_FLOAT_NAMES = re.compile(
    r"^(radius|rate|temperature|temp|price|amount|mass|velocity|angle|weight|ratio|alpha|beta|lat|lon|"
    r"celsius|fahrenheit|kelvin|percent\w*|probability|distance|speed|tolerance)$"
)
_BOOL_NAMES = re.compile(r"^(is_\w+|has_\w+|use_\w+|reverse|strict|inclusive|case_sensitive|ignore_case|flag)$")
_DICTS_NAMES = re.compile(r"^(dicts|mappings|\w+_dicts|dictionaries)$")
_DICT_NAMES = re.compile(r"^(d|dic|dict\d?|dictionary|mapping|counts|\w+_dict|\w+_map)$")
_MATRIX_NAMES = re.compile(r"^(matrix|mat|grid|board|rows|table|matrix_?[ab12]|triangle|image)$")
_TYPES: list[tuple[re.Pattern[str], Kind]] = [
    (_MATRIX_NAMES, Kind("list", (Kind("list", (INT,)),))),
    (_DICTS_NAMES, Kind("list", (Kind("dict", (STR, INT)),))),
    (_TEXTS_NAMES, Kind("list", (STR,))),
    (_LIST_NAMES, Kind("list", (INT,))),
    (_DICT_NAMES, Kind("dict", (STR, INT))),
    (_STR_NAMES, STR),
    (_FLOAT_NAMES, FLOAT),
    (_BOOL_NAMES, BOOL),
    (_INT_NAMES, INT),
]


def of_parameter(argument: ast.arg, default: ast.expr | None, slot: Slot) -> list[Kind]:
    """Kinds that a parameter may be, the likeliest first; never empty.

    Args:
        argument: name and annotation.
        default: its default value, if it has one.
        slot: how the code uses it.

    Raises:
        NeedsObjectError: the annotation or the use asks for an object or a callable.
    """
    if slot.foreign:
        raise NeedsObjectError(argument.arg)
    found: list[Kind] = []
    if argument.annotation is not None:
        found = _annotated(argument.annotation, slot)
    if not found and default is not None:
        try:
            found = [kind for kind in [of_value(ast.literal_eval(default))] if kind not in (None, NONE)]
        except (ValueError, TypeError, SyntaxError):
            found = []
    return list(dict.fromkeys(found)) or of_slot(slot, argument.arg)


def of_value(value: Any) -> Kind | None:
    """The kind of a plain value; None where it has none. Empty collections get elements of the likeliest kind."""
    if value is None:
        return NONE
    for kind, name in ((bool, BOOL), (int, INT), (float, FLOAT), (str, STR)):
        if type(value) is kind:
            return name
    if type(value) is dict:
        keys, items = (of_value(next(iter(part), 0)) for part in (value.keys(), value.values()))
        return Kind("dict", (keys, items)) if keys and items else None
    if type(value) is tuple:
        parts = [of_value(item) for item in value]
        return Kind("tuple", tuple(part for part in parts if part)) if all(parts) else None
    if type(value) in (list, set):
        part = of_value(next(iter(value), 0))
        return Kind(type(value).__name__, (part,)) if part else None
    return None


def of_slot(slot: Slot, name: str = "", depth: int = 0) -> list[Kind]:
    """Kinds by use and name, the likeliest first.

    Raises:
        NeedsObjectError: an element or value is used as an object.
    """
    if slot.foreign:
        raise NeedsObjectError(name)
    if depth > 3:
        return [INT]
    scores: dict[Kind, float] = {}

    def vote(kind: Kind, weight: float) -> None:
        if weight > 0:
            scores[kind] = scores.get(kind, 0) + weight

    votes = slot.votes
    name = name or slot.alias
    if slot.fields and not votes["seq_index"]:
        parts = tuple(of_slot(field, key, depth + 1)[0] for key, field in slot.fields.items())
        return [Kind("record", parts, tuple(slot.fields))]
    if slot.taken_apart and not (votes["str"] or votes["num"]):
        return [Kind("tuple", tuple(of_slot(part, "", depth + 1)[0] for part in slot.taken_apart))]
    element = _element(slot, name, depth)
    several = votes["iter"] + votes["seq"] + votes["seq_index"] + votes["has"]
    numeric = votes["int"] + votes["num"] + votes["float"]
    for kind in element:
        first = kind == element[0]
        vote(Kind("list", (kind,)), (3 * votes["list"] + several) * (1 if first else 0.6))
        vote(Kind("set", (kind,)), 3 * votes["set"] if first else 0)
    if element[0] == STR or (_hint(name) == STR and not (slot.element_known or votes["seq_index"])):
        vote(STR, 0.8 * several)
    vote(STR, 3 * votes["str"])
    vote(INT, 2 * votes["int"] + 1.5 * votes["num"])
    vote(FLOAT, 2 * votes["float"] + 0.7 * votes["num"])
    vote(BOOL, 2 * votes["bool"])
    if votes["dict"]:
        key = of_slot(slot.key, "key", depth + 1) if slot.has("key") else [STR]
        item = of_slot(slot.value, "value", depth + 1) if slot.has("value") else [INT]
        vote(Kind("dict", (key[0], item[0])), 4 * votes["dict"])
    hint = _hint(name)
    if hint is not None:
        same = next((kind for kind in scores if kind.name == hint.name), None)
        fits = not several if hint in (INT, FLOAT) else not numeric
        vote(same or hint, 2.0 if fits or same else 0.5)
    if not scores and not depth:
        raise NeedsObjectError("nothing says what it is")
    if not scores:
        return [INT, STR]
    return sorted(scores, key=lambda kind: -scores[kind])[:4]


def _hint(name: str) -> Kind | None:
    return next(
        (kind for pattern, kind in _TYPES if len(name) > 1 - name.islower() and pattern.match(name.lower())), None
    )


def _element(slot: Slot, name: str, depth: int) -> list[Kind]:
    if slot.has("places"):
        return [Kind("tuple", tuple(of_slot(part, "", depth + 1)[0] for part in slot.places))]
    if slot.element_known or _hint(slot.element.alias if slot.has("element") else ""):
        return of_slot(slot.element, "", depth + 1)[:2]
    hint = _hint(name)
    if hint is not None and hint.name == "list":
        return [hint.parts[0]]
    return [INT, STR]


def _annotated(node: ast.expr, slot: Slot) -> list[Kind]:
    """Kinds of an annotation; empty where it leaves everything open."""
    if isinstance(node, ast.Constant):
        if node.value is None:
            return [NONE]
        if isinstance(node.value, str):
            try:
                return _annotated(ast.parse(node.value, mode="eval").body, slot)
            except SyntaxError:
                return []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _last_none(_annotated(node.left, slot) + _annotated(node.right, slot))
    if isinstance(node, ast.Subscript):
        return _generic(_name(node.value), node.slice, slot)
    return _bare(_name(node), slot)


def _bare(name: str, slot: Slot) -> list[Kind]:
    if name in _SCALARS:
        return [_SCALARS[name]]
    if name in _LISTS or name in ("tuple", "Tuple") or name in _SETS:
        parts = _element(slot, "", 0)
        kind = "set" if name in _SETS else "tuple" if name in ("tuple", "Tuple") else "list"
        return [Kind(kind, (part,) * (3 if kind == "tuple" else 1)) for part in parts]
    if name in _DICTS:
        return [kind for kind in of_slot(slot) if kind.name in ("dict", "record")] or [Kind("dict", (STR, INT))]
    if name in _OPEN or len(name) == 1:
        return []
    raise NeedsObjectError(name)


def _generic(name: str, inner: ast.expr, slot: Slot) -> list[Kind]:
    parts = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
    if name == "Optional":
        return _last_none([*_annotated(inner, slot), NONE])
    if name == "Union":
        return _last_none([kind for part in parts for kind in _annotated(part, slot)])
    if name == "Literal":
        values = [part.value for part in parts if isinstance(part, ast.Constant)]
        slot.whole += values
        return [kind for kind in map(of_value, values[:1]) if kind]
    element = slot.element if slot.has("element") else Slot()
    if name in _LISTS or name in _SETS:
        kinds = _annotated(parts[0], element) or _element(slot, "", 0)
        return [Kind("set" if name in _SETS else "list", (kind,)) for kind in kinds if kind != NONE]
    if name in ("tuple", "Tuple"):
        if len(parts) == 2 and isinstance(parts[1], ast.Constant) and parts[1].value is Ellipsis:
            return [Kind("tuple", (kind,) * 3) for kind in _annotated(parts[0], element)]
        return [Kind("tuple", tuple((_annotated(part, Slot()) or [INT])[0] for part in parts))]
    if name in _DICTS:
        if slot.fields:
            return [kind for kind in of_slot(slot) if kind.name == "record"]
        pair = [*parts, ast.Name("int", ast.Load())][:2]  # a Counter counts
        return [Kind("dict", tuple((_annotated(part, Slot()) or [INT])[0] for part in pair))]
    raise NeedsObjectError(name)


def _last_none(kinds: list[Kind]) -> list[Kind]:
    return sorted(kinds, key=lambda kind: kind == NONE)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
