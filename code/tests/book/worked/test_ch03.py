"""The arithmetic of chapter 3 against hand-computed values and finite differences."""

import math

import numpy as np
import pytest

from codelab.book.worked import ch03


def test_advantages_by_hand() -> None:
    # mean 1/4; squared deviations 9/16 + 3/16 = 3/4; sample variance 1/4, so the standard deviation is 1/2
    assert ch03.group_advantages([1, 0, 0, 0], guard=0.0) == pytest.approx([1.5, -0.5, -0.5, -0.5])
    population = ch03.group_advantages([1, 0, 0, 0], bessel=False, guard=0.0)
    assert population == pytest.approx([math.sqrt(3), *[-1 / math.sqrt(3)] * 3])
    assert ch03.group_advantages([1, 0, 0, 0], scale=False) == pytest.approx([0.75, -0.25, -0.25, -0.25])


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_equal_rewards_give_no_advantage(reward: float) -> None:
    assert ch03.group_advantages([reward] * 4) == pytest.approx([0.0] * 4)


def test_k3_is_never_negative_and_its_mean_is_the_divergence() -> None:
    policy, reference = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    values = ch03.k3(policy, reference)
    assert (values >= 0).all()
    assert policy @ values == pytest.approx(policy @ np.log(policy / reference))


@pytest.mark.parametrize("corrected", [True, False])
def test_gradient_of_k3_as_a_loss(corrected: bool) -> None:
    logits, reference = np.array([0.3, -0.2, 0.7]), np.array([0.2, 0.2, 0.6])

    def softmax(z: np.ndarray) -> np.ndarray:
        return np.exp(z) / np.exp(z).sum()

    def divergence(z: np.ndarray) -> float:
        p, q = softmax(z), reference
        return float(p @ np.log(p / q)) if corrected else float(q @ np.log(q / p))

    step = 1e-6
    numeric = [(divergence(logits + step * e) - divergence(logits - step * e)) / (2 * step) for e in np.eye(3)]
    exact = ch03.k3_expected_gradient(softmax(logits), reference, corrected=corrected)
    assert exact == pytest.approx(numeric, abs=1e-8)


def test_dpo_pair_by_hand() -> None:
    # margin (-22 + 22.5) - (-30 + 29.4) = 1.1; times 0.1 = 0.11
    term = ch03.dpo_pair(-22.0, -30.0, -22.5, -29.4, 0.1)
    assert term.margin == pytest.approx(1.1)
    assert term.loss == pytest.approx(math.log(1 + math.exp(-0.11)))
    assert term.weight == pytest.approx(0.1 / (1 + math.exp(0.11)))


def test_dpo_weight_is_the_derivative_of_the_loss() -> None:
    step = 1e-6
    up = ch03.dpo_pair(-22.0 + step, -30.0, -22.5, -29.4, 0.1).loss
    down = ch03.dpo_pair(-22.0 - step, -30.0, -22.5, -29.4, 0.1).loss
    assert (down - up) / (2 * step) == pytest.approx(ch03.Group().pair.weight, rel=1e-6)


def test_token_weights_by_hand() -> None:
    table = ch03.token_weights([1.0, -1.0], [10, 30], 100)
    assert table["grpo"] == pytest.approx([1 / 20, -1 / 60])
    assert table["dapo"] == pytest.approx([1 / 40, -1 / 40])
    assert table["dr_grpo"] == pytest.approx([1 / 200, -1 / 200])


def test_group_of_the_chapter() -> None:
    group = ch03.Group()
    assert group.dpo_weights[2:] == pytest.approx([0.0, 0.0])  # DPO never sees the other two completions
    assert group.dpo_weights.sum() == pytest.approx(0.0)
    assert group.advantages.sum() == pytest.approx(0.0)
    # three equally wrong completions of 60, 30 and 110 tokens: the longer, the less is each token held to account
    assert group.weights["grpo"][1:] * [60, 30, 110] == pytest.approx([group.advantages[1] / 4] * 3)
    assert len(set(np.round(group.weights["dapo"][1:], 12))) == 1
    assert group.weights["dr_grpo"][0] == pytest.approx(0.75 / (4 * 256))
