import copy
import math

import numpy as np
import pytest
import torch

from codelab.models import load_model
from codelab.models.quantization import quality
from codelab.models.quantization.speed import Speed, greedy


@pytest.fixture(scope="module")
def full() -> torch.nn.Module:
    model = load_model("scratch:tiny-llama", "float32", "cpu").model
    torch.manual_seed(0)
    with torch.no_grad():  # the drawn weights choose nearly at random: sharpen them so that choices differ
        model.model.embed_tokens.weight.mul_(20)
        for parameter in model.model.layers.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def other(full: torch.nn.Module) -> torch.nn.Module:
    model = copy.deepcopy(full)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return model


DOCUMENTS = [torch.arange(3, 40)[None], torch.arange(100, 130)[None]]


def test_a_model_agrees_with_itself(full: torch.nn.Module) -> None:
    rows, divergences = quality.compare_forced(full, full, DOCUMENTS)
    assert [row["tokens"] for row in rows] == [36, 29]
    assert max(divergences) < 1e-6
    assert all(row["agree"] == row["tokens"] and row["nll"] == row["nll_full"] for row in rows)


def test_divergence_and_surprise_against_a_slow_computation(full: torch.nn.Module, other: torch.nn.Module) -> None:
    rows, divergences = quality.compare_forced(full, other, DOCUMENTS[1:])
    with torch.no_grad():
        p, q = (torch.softmax(m(DOCUMENTS[1]).logits[0].double(), -1).numpy() for m in (full, other))
    kl = [sum(a * math.log(a / b) for a, b in zip(p[t], q[t], strict=True)) for t in range(29)]
    nll = -sum(math.log(q[t][DOCUMENTS[1][0, t + 1]]) for t in range(29))
    assert divergences == pytest.approx(kl, abs=1e-4)
    assert rows[0]["kl"] == pytest.approx(sum(kl), rel=1e-3)
    assert rows[0]["nll"] == pytest.approx(nll, rel=1e-4)
    assert rows[0]["agree"] == int((p[:29].argmax(1) == q[:29].argmax(1)).sum()) < 29


def test_agreement_by_position(full: torch.nn.Module, other: torch.nn.Module) -> None:
    prefixes = torch.stack([torch.arange(start, start + 6) for start in range(5, 65, 10)])
    reference = quality.continuations(full, prefixes, 10, batch=4)
    same = quality.agreement(full, prefixes, reference, reference, batch=4)
    assert [row["position"] for row in same] == list(range(1, 11))
    assert all(row["same"] == row["prefix"] == row["forced"] == 1 for row in same)
    own = quality.continuations(other, prefixes, 10, batch=4)
    rows = quality.agreement(other, prefixes, reference, own, batch=4)
    equal = np.asarray(own) == np.asarray(reference)
    assert [row["same"] for row in rows] == pytest.approx(equal.mean(0).tolist())
    assert [row["prefix"] for row in rows] == pytest.approx([equal[:, : i + 1].all(1).mean() for i in range(10)])
    assert rows[0]["forced"] == rows[0]["same"]  # at the first position nothing can have gone apart yet
    assert 0 < np.mean([row["forced"] for row in rows]) < 1


def test_greedy_makes_exactly_as_many_tokens_unless_stopped(full: torch.nn.Module) -> None:
    ids = torch.arange(5)[None]
    made = greedy(full, ids, 7)
    assert made.shape == (1, 7)
    stop = int(made[0, 2])
    first = made[0].tolist().index(stop)
    assert greedy(full, ids, 7, stop=stop).shape == (1, first + 1)


def test_cells_are_capped_by_prompt_tokens() -> None:
    assert len(Speed().cells()) == 6
    assert Speed(most_prompt_tokens=1024).cells() == [(1, 32), (8, 32), (32, 32), (1, 512)]
