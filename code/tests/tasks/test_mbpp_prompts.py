"""Prompts are what they are declared to be; extraction and stop rules keep every line that a program needs."""

import ast
import os
from pathlib import Path

import pytest

from codelab.errors import UserError
from codelab.tasks import mbpp, prompts

TASK = mbpp.Task(
    task_id=11,
    text="Area of a circle.",
    code="import math\ndef area(r):\n    return math.pi * r ** 2\n",
    tests=("assert area(0) == 0", "assert area(1) > 3 ", "assert area(2) > 12"),
)
PROGRAM = "def helper(x):\n    return x * x\n\ndef area(r):\n    return 3.14 * helper(r)\n"
CODE_STYLES = [name for name, style in prompts.STYLES.items() if style.form != "chat" and not style.opens]


def test_every_style_shows_what_it_says() -> None:
    for name, style in prompts.STYLES.items():
        text = prompts.prompt(TASK, name, shots=[TASK])
        assert text.count("Area of a circle.") == (2 if style.form == "shots" else 1)
        own = text.rpartition("Area of a circle.")[2]
        assert own.count("assert area(") == style.tests
        assert text.endswith("def area(") is style.opens
    assert prompts.messages(TASK) == [{"role": "user", "content": prompts.prompt(TASK, "chat")}]


def test_a_docstring_prompt_is_python_whatever_the_question_holds() -> None:
    odd = mbpp.Task(1, 'Quote """ it.', TASK.code, "", TASK.tests)
    ast.parse(prompts.prompt(odd, "docstring") + PROGRAM)


def test_unknown_styles_and_missing_examples_are_named() -> None:
    with pytest.raises(UserError, match="prompt style 'loud': expected one of docstring"):
        prompts.prompt(TASK, "loud")
    with pytest.raises(UserError, match="needs the tasks 2, 3, 4"):
        prompts.prompt(TASK, "shots")


@pytest.mark.parametrize("style", CODE_STYLES)
@pytest.mark.parametrize(
    "tail",
    [
        "",
        "\nprint(area(3))\nprint('done')\n",
        '\n"""\nAnother question.\n"""\ndef other():\n    return 1 +',
        "\nassert area(1) == 3\n",
        "\ndef unrelated(x):\n    return",
        "\nif __name__ == '__main__':\n    main(",
    ],
)
def test_a_program_is_cut_after_what_it_needs(style: str, tail: str) -> None:
    assert prompts.extract(PROGRAM + tail, TASK, style).strip() == PROGRAM.strip()


@pytest.mark.parametrize(
    "program",
    [
        "def area(r):\n    return scale * square(r)\n\nscale = 3.14\n\ndef square(x):\n    return x * x\n",
        "x = 1\nif x:\n    pi = 3.14\nelse:\n    pi = 3\nfor i in []:\n    pi = i\ndef area(r):\n    return pi * r\n",
        "class A:\n    k = 3\n\nprint('helper first')\n\n@staticmethod\ndef area(r):\n    return A.k * r\n",
        "from math import *\ndef area(r):\n    return pi * r\n",
        "area = lambda r: 3.14 * r * r\n",
        "def area(r):\n\n    # a comment\n# at the margin\n    return 3.14 * r\n",
        "def area(r):\n    text = '''\nassert x\n\"\"\"\n'''\n    return len(text) * r\n",
    ],
)
def test_valid_helper_code_is_kept(program: str) -> None:
    for style in CODE_STYLES:
        assert prompts.extract(program + "\ndef cut(", TASK, style).strip() == program.strip()


def test_a_half_statement_at_the_end_is_dropped_and_nonsense_is_left_alone() -> None:
    assert prompts.extract("def area(r):\n    return undefined(r)\nx = (1,", TASK, "docstring") == (
        "def area(r):\n    return undefined(r)\n"
    )
    assert prompts.extract("The answer is 3.", TASK, "docstring") == "The answer is 3."
    assert prompts.extract("", TASK, "docstring") == ""


@pytest.mark.parametrize(
    "completion",
    [
        f"Here you are:\n```python\n{PROGRAM}```\nIt passes.",
        f"```\n{PROGRAM}```",
        f"```python\n{PROGRAM}",
        f"First a test:\n```python\nassert area(1)\n```\nthen\n```python\n{PROGRAM}```",
        PROGRAM,
    ],
)
def test_fenced_blocks(completion: str) -> None:
    assert prompts.extract(completion, TASK, "chat").strip() == PROGRAM.strip()


def test_a_prompt_that_opens_the_function_is_put_before_the_answer() -> None:
    assert prompts.extract("r):\n    return r\n\ndef next(", TASK, "signature") == "def area(r):\n    return r\n\n"


def test_generation_stops_when_the_program_is_whole_and_not_before() -> None:
    rule = prompts.stop_rule(TASK, "docstring")
    assert not rule.finished("def area(r):\n    return helper(r)\n\n")
    assert not rule.finished("def area(r):\n    return helper(r)\n\ndef helper(x):\n    return x")
    assert rule.finished("def area(r):\n    return helper(r)\n\ndef helper(x):\n    return x\n\nprint")
    assert not rule.finished("def area(r):\n    return r\n    ")
    assert rule.finished("def area(r):\n    return r\n\nx")
    assert rule.finished("anything<|endoftext|>")
    chat = prompts.stop_rule(TASK, "chat")
    assert not chat.finished("```python\ndef area(r):\n    return r\n\nx")
    assert chat.finished("```python\ndef area(r):\n    return r\n```")


def test_what_is_finished_stays_finished() -> None:
    rule = prompts.stop_rule(TASK, "docstring")
    text = "def area(r):\n    return r\nfoo bar\nbaz (\n    def x\n"
    states = [rule.finished(text[:end]) for end in range(len(text) + 1)]
    assert states == sorted(states)
    assert states[-1]


def test_stopping_early_changes_no_program() -> None:
    whole = PROGRAM + "\nprint(1)\n\ndef more():\n    return 2\n"
    for style in CODE_STYLES:
        rule = prompts.stop_rule(TASK, style)
        end = next(n for n in range(len(whole)) if rule.finished(whole[:n]))
        assert prompts.extract(whole[:end], TASK, style) == prompts.extract(whole, TASK, style)


def test_every_reference_solution_survives_every_style() -> None:
    path = os.environ.get("CODELAB_MBPP") or Path(__file__).resolve().parents[4] / "shared" / "data" / "mbpp.jsonl"
    if not Path(path).is_file() and "CODELAB_MBPP" not in os.environ:
        pytest.skip("mbpp.jsonl is neither in CODELAB_MBPP nor in ../shared/data")
    for task in mbpp.load(path):
        for style in (*CODE_STYLES, "chat"):
            program = prompts.extract(prompts.target(task, style), task, style)
            assert ast.dump(ast.parse(program)) == ast.dump(ast.parse(task.code)), (task.task_id, style)
