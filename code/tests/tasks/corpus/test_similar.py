import random

import numpy as np

from codelab.tasks.corpus.similar import SHINGLE, first_of_each, pack, signature, unpack


def jaccard(a: list[str], b: list[str]) -> float:
    first, second = ({tuple(x[i : i + SHINGLE]) for i in range(len(x) - SHINGLE + 1)} for x in (a, b))
    return len(first & second) / len(first | second)


def words(seed: int, count: int = 2_000) -> list[str]:
    return [f"w{number}" for number in np.random.default_rng(seed).integers(0, 5_000, count)]


def changed(tokens: list[str], count: int) -> list[str]:
    result = list(tokens)
    for place in random.Random(1).sample(range(len(tokens)), count):
        result[place] = "other"
    return result


def test_the_estimate_is_near_the_exact_similarity() -> None:
    base = words(1)
    for count in (10, 40, 120, 400):
        other = changed(base, count)
        estimate = float(np.mean(signature(base) == signature(other)))
        # 128 permutations: a standard error of at most 0.045
        assert abs(estimate - jaccard(base, other)) < 0.14


def test_the_first_of_each_family_stays() -> None:
    one, two = words(1), words(2)
    copies = [one, two, changed(one, 10), list(two), changed(one, 800)]
    assert jaccard(one, copies[2]) > 0.9
    assert jaccard(one, copies[4]) < 0.3
    assert first_of_each((number, signature(tokens)) for number, tokens in enumerate(copies)) == {2: 0, 3: 1}


def test_a_signature_survives_packing_and_is_the_same_everywhere() -> None:
    values = signature(["def", "f", "(", ")", ":", "return", "1"])
    assert np.array_equal(unpack(pack(values)), values)
    assert values.dtype == np.uint32
    assert values.shape == (128,)


def test_a_list_shorter_than_a_shingle_has_a_signature() -> None:
    assert np.array_equal(signature(["a", "b"]), signature(["a", "b"]))
    assert not np.array_equal(signature(["a", "b"]), signature(["a", "c"]))
