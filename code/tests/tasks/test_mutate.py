"""Mutants: the same from the same seed, different from the original, and valid but for the cut ones."""

import ast

from codelab.tasks.mutate import mutant

SOURCE = """
def count(values, limit):
    total = 0
    for value in values:
        if value < limit and value != 3:
            total += value * 2
    return total
"""


def parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def test_the_seed_decides() -> None:
    assert [mutant(SOURCE, seed) for seed in range(50)] == [mutant(SOURCE, seed) for seed in range(50)]
    assert len({mutant(SOURCE, seed) for seed in range(50)}) > 10


def test_a_mutant_differs_and_nearly_always_parses() -> None:
    plain = ast.unparse(ast.parse(SOURCE))
    made = [mutant(SOURCE, seed) for seed in range(300)]
    assert all(text.strip() != plain for text in made)
    share = sum(map(parses, made)) / len(made)
    assert 0.9 < share < 1


def test_two_changes_move_further_than_one() -> None:
    base = ast.unparse(ast.parse(SOURCE)).splitlines()

    def changed(text: str) -> int:
        lines = text.splitlines()
        return sum(line not in base for line in lines) + abs(len(lines) - len(base))

    whole = [seed for seed in range(300) if parses(mutant(SOURCE, seed))]
    assert sum(changed(mutant(SOURCE, s, 3)) for s in whole) > 1.5 * sum(changed(mutant(SOURCE, s)) for s in whole)


def test_a_program_without_a_place_to_change_stays() -> None:
    assert any(mutant("x = name\n", seed) == "x = name\n" for seed in range(5))
