import ast

import pytest

from codelab.tasks.corpus.benchmarks import mbpp_problem
from codelab.tasks.corpus.clean import clean, tally
from codelab.tasks.corpus.contamination import Detector

SOLUTION = (
    "def count_vowels(word):\n    total = 0\n    for letter in word:\n        if letter in 'aeiou':\n"
    "            total = total + 1\n    return total\n"
)
RENAMED = (
    "def z(a):\n    b = 0\n    for c in a:\n        if c in 'aeiou':\n            b = b + 1\n    return b\n"
)  # fmt: skip
KEPT = (
    "def mean(values, weights):\n    top = sum(v * w for v, w in zip(values, weights))\n    return top / sum(weights)\n"
)
HEAD = "import math\nimport os\nLIMIT = 3\n"


@pytest.fixture(scope="module")
def detector() -> Detector:
    row = {
        "task_id": 1,
        "text": "Write a python function to count the vowels that stand in a given word.",
        "code": SOLUTION,
        "test_list": ["assert count_vowels('education') == 5"],
        "challenge_test_list": [],
    }
    return Detector([mbpp_problem(row)])


def test_clean_text_is_left_as_it_is(detector: Detector) -> None:
    result = clean(HEAD + KEPT, "a", detector)
    assert (result.text, result.hits, result.cut) == (HEAD + KEPT, (), 0)


def test_group_a_loses_the_function(detector: Detector) -> None:
    result = clean(f"{HEAD}\n\n@cached\n{SOLUTION}\n\n{KEPT}", "a", detector)
    assert result.cut == 1
    assert result.text is not None
    assert "vowel" not in result.text
    assert "@cached" not in result.text
    assert KEPT in result.text


def test_a_method_is_cut_and_its_class_stays(detector: Detector) -> None:
    method = "".join(f"    {line}\n" for line in SOLUTION.splitlines())
    text = f"{HEAD}class A:\n    x = 1\n\n{method}\n    def other(self, a):\n        return a * 2\n\n\n{KEPT}"
    result = clean(text, "a", detector)
    assert result.text is not None
    assert [type(node).__name__ for node in ast.parse(result.text).body] == [
        "Import", "Import", "Assign", "ClassDef", "FunctionDef"
    ]  # fmt: skip
    assert detector.find(result.text) == []


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}{KEPT}assert count_vowels('education') == 5\n",
        f"{HEAD}{KEPT}# count the vowels that stand in a given word\n",
        "class A:\n" + "".join(f"    {line}\n" for line in SOLUTION.splitlines()) + KEPT,
        SOLUTION,
    ],
    ids=["test outside a function", "prompt in a comment", "class left empty", "nothing else in it"],
)  # fmt: skip
def test_group_a_loses_the_file_where_cutting_does_not_help(detector: Detector, text: str) -> None:
    result = clean(text, "a", detector)
    assert result.text is None
    assert result.hits


def test_group_b_loses_the_file_but_for_mere_structure_the_function(detector: Detector) -> None:
    assert clean(f"{HEAD}{SOLUTION}{KEPT}", "b", detector).text is None
    result = clean(f"{HEAD}{RENAMED}\n\n{KEPT}", "b", detector)
    assert result.text is not None
    assert result.cut == 1
    assert "def z" not in result.text


def test_the_tally_counts_files_not_hits(detector: Detector) -> None:
    results = [clean(f"{HEAD}{SOLUTION}{KEPT}", group, detector) for group in ("a", "b")]
    counts = tally(results)
    assert counts["files_hit"]["name"] == 2
    assert counts["files_dropped"]["name"] == 1
    assert counts["problems"] == {"mbpp/1": 2}
