"""Preference pairs: no test task, balanced lengths, no duplicates, the mix, the same pairs from the same seed."""

import random
from dataclasses import replace

import pytest
from pydantic import ValidationError

from codelab.errors import UserError
from codelab.sandbox import Pool
from codelab.tasks import mbpp
from codelab.tasks.enlarged import FIRST
from codelab.tasks.mbpp import Task
from codelab.train.candidates import MutantSettings, judged, own, summary, variants
from codelab.train.pairs import Candidate, PairSettings, distinct, make_pairs, normal_form, table, usable
from codelab.train.sft import MIXED_UP

from ..evaluate.small import rows

EVEN = {"wrong_value": 1.0, "exception": 1.0, "syntax": 1.0, "mutant": 1.0}


def tasks(ids: range) -> list[Task]:
    return mbpp.tasks_of_rows(enumerate(rows(ids), 1), "test")


def program(task: int, words: int, mark: str) -> str:
    return f"def f{task}():\n    return [{', '.join([mark] * words)}]\n"


def many(seed: int = 0) -> list[Candidate]:
    """Forty tasks; failing programs are longer than passing ones on the whole, as they tend to be."""
    draw = random.Random(seed)
    made = []
    for task in range(605, 645):
        made += [Candidate(task, program(task, draw.randint(10, 40), str(i)), "own", "none") for i in range(4)]
        for i in range(8):
            failure = ("wrong_value", "exception", "syntax")[i % 3]
            made.append(Candidate(task, program(task, draw.randint(10, 60), f"x{i}"), "own", failure))
        made.append(Candidate(task, program(task, 30, "correct"), "reference", "none"))
        made.append(Candidate(task, program(task, 31, "mutated"), "mutant", "wrong_value"))
    return made


def test_only_training_tasks_without_a_twin_in_the_test_split() -> None:
    everything = tasks(range(1, 975))
    used = {task.task_id for task in usable(everything, ("train", "validation"))}
    assert not used & set(mbpp.SPLITS["test"])
    assert not used & MIXED_UP
    assert len(used) == 90 + 374 - 3
    with pytest.raises(UserError, match="splits"):
        usable(everything, ("test",))
    for leaked in (11, 510, 602, 704, 872, 511):
        candidates = [*many(), Candidate(leaked, "def f():\n    return 1\n", "own", "wrong_value")]
        with pytest.raises(UserError, match=f"task {leaked} "):
            make_pairs(candidates, PairSettings(splits=("train",), mix=EVEN), len, 0)
    beyond = [replace(one, task_id=one.task_id + FIRST) for one in many()]
    with pytest.raises(UserError, match=f"task {FIRST + 605} "):
        make_pairs(beyond, PairSettings(mix=EVEN), len, 0)
    made = make_pairs(beyond, PairSettings(mix=EVEN), len, 0, {one.task_id for one in beyond})
    assert {pair.chosen.task_id for pair in made} <= {one.task_id for one in beyond}


def test_lengths_are_matched_within_the_ratio_and_the_mean_difference_is_bounded() -> None:
    loose = make_pairs(many(), PairSettings(mix=EVEN, length_ratio=9, mean_difference=999, chosen_uses=1), len, 0)
    assert table(loose)[-1]["difference"] > 10
    settings = PairSettings(mix=EVEN, length_ratio=1.3, mean_difference=1.0)
    pairs = make_pairs(many(), settings, len, 0)
    assert len(pairs) > 40
    for pair in pairs:
        sizes = sorted((len(pair.chosen.program), len(pair.rejected.program)))
        assert sizes[1] <= 1.3 * sizes[0]
    assert abs(table(pairs)[-1]["difference"]) <= 1.0


def test_pairs_join_a_passing_and_a_failing_program_of_one_task() -> None:
    for pair in make_pairs(many(), PairSettings(mix=EVEN), len, 0):
        assert pair.chosen.passes
        assert not pair.rejected.passes
        assert pair.chosen.task_id == pair.rejected.task_id
        assert (pair.chosen.source == "reference") == (pair.rejected.source == "mutant")


def test_own_programs_are_chosen_before_the_reference() -> None:
    fails = Candidate(605, "def f( a ):\n  return a - 1 # no\n", "own", "wrong_value")
    reference = Candidate(605, "def f(a):\n    return a + 1\n", "reference", "none")
    solved = Candidate(605, "def f(b):\n    return b + 1\n", "own", "none")
    settings = PairSettings(mix={"wrong_value": 1.0}, mean_difference=9)
    (pair,) = make_pairs([fails, reference], settings, len, 0)
    assert pair.chosen == reference
    assert pair.rejected.program == "def f(a):\n    return a - 1\n", "layout would tell the sides apart"
    (pair,) = make_pairs([fails, reference, solved], settings, len, 0)
    assert (pair.chosen, pair.rejected) == (solved, fails)


def test_either_source_of_chosen_programs_may_be_left_out() -> None:
    alone = make_pairs(many(), PairSettings(mix=EVEN, chosen=("own",)), len, 0)
    assert {pair.chosen.source for pair in alone} == {"own"}
    assert "mutant" not in {pair.rejected.source for pair in alone}
    given = make_pairs(many(), PairSettings(mix=EVEN, chosen=("reference",)), len, 0)
    assert {pair.chosen.source for pair in given} == {"reference"}
    assert {pair.rejected.source for pair in given} == {"own", "mutant"}
    with pytest.raises(ValidationError, match="chosen"):
        PairSettings(mix=EVEN, chosen=())


def test_no_class_exceeds_its_share() -> None:
    mix = {"wrong_value": 0.6, "exception": 0.5, "syntax": 0.1}
    pairs = make_pairs(many(), PairSettings(mix=mix, mean_difference=99), len, 0)
    shares = {kind: sum(pair.rejected.kind == kind for pair in pairs) / len(pairs) for kind in {*mix, "mutant"}}
    assert shares["mutant"] == 0
    assert 0 < shares["syntax"] <= 0.1
    assert 0 < shares["exception"] <= 0.5
    assert len(make_pairs(many(), PairSettings(mix=mix, limit=20), len, 0)) <= 20


@pytest.mark.parametrize("mix", [{}, {"wrong": 1.0}, {"syntax": 0.5}, {"syntax": 1.5}])
def test_an_impossible_mix_is_refused(mix: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PairSettings(mix=mix)


def test_programs_that_differ_in_layout_alone_count_once_and_flaky_ones_not_at_all() -> None:
    first = Candidate(605, "def f(a):\n    return a\n", "own", "wrong_value")
    again = Candidate(605, 'def f(a):\n  """Same."""\n\n  return (a)  # same\n', "own", "wrong_value")
    other_task = Candidate(606, first.program, "own", "wrong_value")
    assert distinct([first, again, other_task]) == [first, other_task]
    flaky = Candidate(605, again.program, "own", "none")
    assert distinct([first, flaky, other_task]) == [other_task]
    assert normal_form("def f(:\n  x") == normal_form("def f(: x")


def test_the_seed_decides_and_the_order_of_the_candidates_does_not() -> None:
    settings = PairSettings(mix=EVEN, per_task=3)
    shuffled = many()
    random.Random(5).shuffle(shuffled)
    assert make_pairs(many(), settings, len, 1) == make_pairs(shuffled, settings, len, 1)
    assert make_pairs(many(), settings, len, 1) != make_pairs(many(), settings, len, 2)


def test_the_table_counts_by_source_and_class_and_sums_up() -> None:
    pairs = make_pairs(many(), PairSettings(mix=EVEN), len, 0)
    lines = table(pairs)
    assert sum(line["pairs"] for line in lines[:-1]) == lines[-1]["pairs"] == len(pairs)
    kinds = {(line["chosen"], line["rejected"], line["failure"]) for line in lines}
    assert ("reference", "mutant", "wrong_value") in kinds
    assert ("own", "own", "syntax") in kinds


def test_nothing_to_pair_is_one_line() -> None:
    with pytest.raises(UserError, match="none left"):
        make_pairs([Candidate(605, "x", "own", "none")], PairSettings(mix=EVEN), len, 0)


def test_references_and_mutants_are_judged_once_and_mutants_that_fail_are_known_to(tmp_path) -> None:
    few, settings, path = tasks(range(605, 609)), MutantSettings(per_task=6), tmp_path / "judged.json"
    with Pool(1) as pool:
        found = judged(few, settings, 0, pool.judge, path)
    assert all(one.passes for one in found if one.source == "reference")
    assert {one.source for one in found} == {"reference", "mutant"}
    assert any(one.source == "mutant" and one.failure == "wrong_value" for one in found)

    def never(_samples):
        raise AssertionError("judged again")

    assert judged(few, settings, 0, never, path) == found
    assert sum(line["programs"] for line in summary(found)) == len(found)
    made = [text for source, text in variants(few[0], settings, 0) if source == "mutant"]
    assert made == [text for source, text in variants(few[0], settings, 0) if source == "mutant"]
    assert normal_form(few[0].code) not in {normal_form(text) for text in made}
    assert make_pairs(found, PairSettings(mix={"mutant": 1.0}), len, 0)


def test_samples_that_were_cut_or_never_judged_make_no_candidate() -> None:
    from codelab.evaluate.engines import Asker

    (task,) = tasks(range(606, 607))
    row = {"task_id": 606, "text": task.code + "\n\nprint('more')\n", "finish": "eos", "failure": "none"}
    cut = row | {"finish": "length", "failure": "syntax"}
    absent = row | {"failure": "prompt_too_long", "text": ""}
    found = own([row, cut, absent, row | {"text": ""}], {606: task}, Asker("docstring", [task]))
    assert found == [Candidate(606, task.code + "\n", "own", "none")]
