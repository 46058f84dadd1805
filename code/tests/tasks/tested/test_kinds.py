"""What a parameter is taken for, by annotation, default, use and name; in that order."""

import pytest

from codelab.tasks.tested import kinds, uses
from codelab.tasks.tested.calls import function_of


def kind(code: str, parameter: str = "x") -> str:
    function = function_of(f"def f{code}", "f")
    a = function.args
    defaults = dict(zip([one.arg for one in a.args[len(a.args) - len(a.defaults) :]], a.defaults, strict=True))
    argument = next(one for one in a.args if one.arg == parameter)
    return show(kinds.of_parameter(argument, defaults.get(parameter), uses.of_function(function)[parameter])[0])


def show(found: kinds.Kind) -> str:
    inside = ", ".join(map(show, found.parts))
    keys = "/".join(found.keys)
    return found.name + (f" {keys}" if keys else "") + (f"[{inside}]" if inside else "")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("(x: int): return x", "int"),
        ("(x: 'list[str]'): return x", "list[str]"),
        ("(x: Optional[Dict[str, float]] = None): return x", "dict[str, float]"),
        ("(x: str | None): return x", "str"),
        ("(x: typing.Sequence[tuple[int, str]]): return x", "list[tuple[int, str]]"),
        ("(x: Tuple[int, ...]): return x", "tuple[int, int, int]"),
        ("(x: set): return x", "set[int]"),
        ("(x: list): return ' '.join(x)", "list[str]"),
        ("(x: Literal['a', 'b']): return x", "str"),
        ("(x=2.5): return x", "float"),
        ("(x='a'): return x", "str"),
        ("(x): return x % 2", "int"),
        ("(x): return '%s' % x.lower()", "str"),
        ("(x): return [y.strip() for y in x]", "list[str]"),
        ("(x): return sum(x) / len(x)", "list[int]"),
        ("(x): return [k for k, v in x.items() if v > 2]", "dict[str, int]"),
        ("(x): return [a + 1 for a, b in x if b.isdigit()]", "list[tuple[int, str]]"),
        ("(x): return x['name'].upper() + str(x['age'] + 1)", "record name/age[str, int]"),
        ("(x): return [row[0] * 2 for row in x]", "list[list[int]]"),
        ("(x): return re.sub('a', 'b', x)", "str"),
        ("(x): return sorted(x, key=lambda y: y[1])", "list[list[int]]"),
        ("(x): y = x.strip()\n    return y", "str"),
        ("(x): word, n = x; return word.upper() * n", "tuple[str, int]"),
        ("(x): first, *rest = x; return rest", "list[int]"),
        ("(x): return x.union({1})", "set[int]"),
        ("(x): return {len(word): word for word in x}", "list[str]"),
        ("(x): return [n for n in x]", "list[int]"),
    ],
)
def test_the_likeliest_kind(code: str, expected: str) -> None:
    assert kind(code.replace("\n    ", "; ")) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("words", "list[str]"), ("nums", "list[int]"), ("text", "str"), ("n", "int"), ("radius", "float"),
     ("matrix", "list[list[int]]"), ("is_open", "bool"), ("counts", "dict[str, int]")],
)  # fmt: skip
def test_a_name_decides_where_nothing_else_does(name: str, expected: str) -> None:
    assert kind(f"({name}): return g({name})", name) == expected


@pytest.mark.parametrize(
    "code",
    [
        "(x: np.ndarray): return x",
        "(x: Callable[[int], int]): return x(1)",
        "(x): return x.shape[0]",
        "(x): return x(1)",
        "(x): return [y.name for y in x]",
        "(tape): return tape",
    ],
)
def test_objects_and_the_unknown_are_refused(code: str) -> None:
    with pytest.raises(kinds.NeedsObjectError):
        kind(code, code[1:].partition(":")[0].partition(")")[0])


def test_constants_of_the_code_are_kept() -> None:
    code = "def f(x, y):\n    if x == 'on' or x in ('off', 'auto'):\n        return '=' in y\n    return y.split('@')\n"
    slots = uses.of_function(function_of(code, "f"))
    assert slots["x"].whole == ["on", "off", "auto"]
    assert slots["y"].inside == ["=", "@"]


def test_a_default_separator_is_looked_for_too() -> None:
    slots = uses.of_function(function_of("def f(x, by='::'):\n    return x.split(by)\n", "f"))
    assert slots["x"].inside == ["::"]
