"""Which pairs can be tasks: one case a reason."""

import pytest

from codelab.tasks.instructions import Instruction
from codelab.tasks.tested.fit import unfit

CODE = "def f(x):\n    return x + 1\n"
TEXT = "Give the number that follows x."


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        (TEXT, CODE, ""),
        ("Give the sum of *x* and `1`, as (1 + 2) would.", CODE, ""),
        ("Give the suffix of a path.", "import os\ndef f(x):\n    return os.path.splitext(x)[1]\n", ""),
        (TEXT, "def f(x):\n    return x['size'] + 1\n", "code: hidden keys"),
        ("Give the size of x after the next.", "def f(x):\n    return x['size'] + 1\n", ""),
        (TEXT, "def f(:\n", "code: not a function"),
        (TEXT, "def g(x):\n    return x\n", "code: not a function"),
        (TEXT, "def f(x):\n" + "    x += 1\n" * 30 + "    return x\n", "code: long"),
        (TEXT, "def f():\n    return 1\n", "code: no arguments"),
        (TEXT, "def f(x, **more):\n    return x\n", "code: open keywords"),
        (TEXT, "LIMIT = 3\ndef f(x):\n    return LIMIT + x\n", "code: constants of its module"),
        ("Give x, or the limit if it is less.", "LIMIT = 3\ndef f(x):\n    return min(LIMIT, x)\n", ""),
        (TEXT, "def f(x):\n    return x - 107\n", "code: numbers that nobody can know"),
        ("Give the number that comes 107 before x.", "def f(x):\n    return x - 107\n", ""),
        (TEXT, "def f(x):\n    return x % 60 + x // 1024\n", ""),
        (TEXT, "def f(arr):\n    return arr[0] + arr[1]\n", "code: several arguments in one"),
        (TEXT, "import time\ndef f(x):\n    return time.time() + x\n", "code: modules"),
        (TEXT, "from random import random\ndef f(x):\n    return random() + x\n", "code: modules"),
        (TEXT, "def f(x):\n    return open(x).read()\n", "code: the interpreter's own"),
        (TEXT, "def f(x):\n    print(x)\n", "code: the interpreter's own"),
        (TEXT, "import os\ndef f(x):\n    return os.environ[x]\n", "code: the interpreter's own"),
        (TEXT, "import datetime as d\ndef f(x):\n    return d.date.today().year - x\n", "code: the interpreter's own"),
        (TEXT, "import os\ndef f(x):\n    return os.path.exists(x)\n", "code: files"),
        (TEXT, "def f(x):\n    global y\n    y = x\n    return y\n", "code: state or classes"),
        (TEXT, "def f(a, b, c, d, e):\n    return a + b + c + d + e\n", "code: many arguments"),
        (TEXT, "def f(x, name):\n    if x < 0:\n        raise ValueError(name)\n    return x + 1\n",
         "code: an argument without use"),
    ],
)  # fmt: skip
def test_reasons(text: str, code: str, reason: str) -> None:
    assert unfit(Instruction(text, code, "f", "here")) == reason


def test_private_helpers_and_test_code_are_left_out() -> None:
    text, code = "Give the whole number that follows another.", "def _f(x):\n    return x + 1\n"
    assert unfit(Instruction(text, code, "_f", "here")) == "code: a private helper, a test or a puzzle"
    for source in ("a/b/tests/helper.py", "a/b/test_more.py", "a/b/more_test.py", "a/advent_of_code/x.py"):
        assert (
            unfit(Instruction(text, code.replace("_f", "f"), "f", source))
            == "code: a private helper, a test or a puzzle"
        )
    assert unfit(Instruction(text, code.replace("_f", "f"), "f", "a/b/latest.py")) == ""


def test_a_librarys_function_must_be_told_better() -> None:
    pair = Instruction(
        "Extract the duration characters of a token.", "def f(event):\n    return event[1:]\n", "f", "here"
    )
    assert unfit(pair) == ""
    assert unfit(pair, library=True) == "text: too little for a library's function"
