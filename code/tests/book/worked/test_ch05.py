"""The three-answer policy of chapter 5: gradients, optimum, path, and what the chapter says of each remedy."""

from dataclasses import replace

import numpy as np
import pytest

from codelab.book.worked import ch05
from codelab.book.worked.ch05 import CHOSEN, REJECTED, UNSEEN, Setting, Toy

TOY = Toy()
RUNS = {outcome.name: outcome for outcome in ch05.remedies()}
PLAIN = RUNS["DPO, β = 0.1"]


def _loss(theta: np.ndarray, setting: Setting) -> float:
    p, ratios = TOY.policy(theta), TOY.log_ratios(theta)
    margin = ratios[CHOSEN] - ratios[REJECTED]
    beta, weight = setting.beta, setting.weight
    plain = np.log1p(np.exp(-beta * margin))
    return float(
        {
            "dpo": plain,
            "ipo": (margin - 1 / (2 * beta)) ** 2,
            "dpop": np.log1p(np.exp(-beta * (margin - weight * max(0.0, -ratios[CHOSEN])))),
            "sft": plain - weight * np.log(p[CHOSEN]),
            "kl": plain + weight * ch05.kl(p, TOY.reference),
        }[setting.loss]
    )


@pytest.mark.parametrize("theta", [np.array([0.3, -0.2]), np.array([-1.0, 6.0])])
@pytest.mark.parametrize("loss", ["dpo", "ipo", "dpop", "sft", "kl"])
def test_gradients_against_finite_differences(loss: ch05.Loss, theta: np.ndarray) -> None:
    setting = Setting(loss=loss, beta=0.3, weight=0.7)
    step = 1e-6
    numeric = [
        (_loss(theta + step * e, setting) - _loss(theta - step * e, setting)) / (2 * step) for e in np.eye(len(theta))
    ]
    assert ch05.gradient(TOY, theta, setting) == pytest.approx(numeric, abs=1e-7)


def test_on_policy_gradient_is_the_expectation_over_drawn_pairs() -> None:
    theta, beta = np.array([0.5, 1.5]), 0.3
    p, ratios = TOY.policy(theta), TOY.log_ratios(theta)
    expected = np.zeros(2)
    for first in range(3):
        for second in range(3):
            better, worse = min(first, second), max(first, second)  # chosen > rejected > unseen
            slope = beta / (1 + np.exp(beta * (ratios[better] - ratios[worse])))
            expected -= p[first] * p[second] * slope * (TOY.features[better] - TOY.features[worse])
    assert ch05.gradient(TOY, theta, Setting(loss="on_policy", beta=beta)) == pytest.approx(expected)


def test_zero_parameters_are_the_reference() -> None:
    assert TOY.policy(np.zeros(2)) == pytest.approx(TOY.reference)
    assert TOY.reference.sum() == pytest.approx(1.0)


def test_divergence_by_hand() -> None:
    assert ch05.kl([1.0, 0.0], [0.25, 0.75]) == pytest.approx(np.log(4))
    assert ch05.kl(TOY.reference, TOY.reference) == pytest.approx(0.0)


@pytest.mark.parametrize("beta", [0.1, 0.5, 1.0, 2.0])
def test_closed_form_is_the_maximiser_and_covered_dpo_finds_it(beta: float) -> None:
    rewards = np.array([1.0, 0.0, -1.0])
    best = ch05.optimum(TOY.reference, rewards, beta)

    def objective(p: np.ndarray) -> float:
        return float(p @ rewards) - beta * ch05.kl(p, TOY.reference)

    rng = np.random.default_rng(0)
    assert all(objective(best) >= objective(p) for p in rng.dirichlet(np.ones(3), size=500))
    assert ch05.covered_dpo(TOY.reference, rewards, beta) == pytest.approx(best, abs=1e-9)
    assert best[UNSEEN] < TOY.reference[UNSEEN]


def test_stronger_beta_means_less_divergence_at_the_optimum() -> None:
    divergences = [ch05.kl(ch05.optimum(TOY.reference, [1, 0, -1], b), TOY.reference) for b in (0.1, 0.5, 1.0, 2.0)]
    assert divergences == sorted(divergences, reverse=True)


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0])
def test_the_path_does_not_depend_on_beta_and_the_margin_has_a_closed_form(beta: float) -> None:
    setting = Setting(beta=beta)
    path = ch05.train(TOY, setting)
    assert ch05.along(TOY, path.margins[::200]) == pytest.approx(path.policies[::200], abs=1e-9)
    distance = setting.rate * setting.steps * float(TOY.difference @ TOY.difference)
    assert ch05.margin_after(distance, beta) == pytest.approx(path.margins[-1], rel=1e-3)
    assert (np.diff(path.margins) > 0).all()  # the loss falls at every step, whatever happens to the chosen answer


def test_displacement_with_shared_features_and_none_without() -> None:
    assert PLAIN.policy[CHOSEN] < 0.05 < TOY.reference[CHOSEN]
    assert PLAIN.policy[UNSEEN] > 0.95
    separate = ch05.train(Toy(features=ch05.SEPARATE.copy()), Setting())
    assert (np.diff(separate.policies[:, CHOSEN]) > -1e-12).all()
    assert separate.policies[-1, UNSEEN] < TOY.reference[UNSEEN]


def test_chosen_answer_rises_before_it_falls() -> None:
    chosen = ch05.train(TOY, Setting()).policies[:, CHOSEN]
    peak = int(chosen.argmax())
    assert 0 < peak < len(chosen) - 1
    assert chosen[peak] > TOY.reference[CHOSEN] > chosen[-1]


def test_beta_slows_the_shift_and_does_not_turn_it() -> None:
    ends = [ch05.train(TOY, Setting(beta=b)) for b in (0.01, 0.1, 1.0)]
    assert [e.kls[-1] for e in ends] == sorted((e.kls[-1] for e in ends), reverse=True)
    longer = ch05.train(TOY, Setting(beta=1.0, steps=40_000))
    assert longer.policies[-1, UNSEEN] > ends[-1].policies[-1, UNSEEN]


def test_weight_of_a_pair_is_halved_at_the_stated_margin() -> None:
    for beta in (0.1, 1.0):
        margin = ch05.half_weight_margin(beta)
        assert 1 / (1 + np.exp(beta * margin)) == pytest.approx(0.25)


def test_ipo_stops_at_its_margin() -> None:
    for tau in (0.5, 1.0):
        end = ch05.train(TOY, replace(Setting(loss="ipo"), beta=tau))
        assert end.margins[-1] == pytest.approx(1 / (2 * tau), rel=1e-3)


def test_what_each_remedy_does() -> None:
    assert RUNS["DPO, β = 0.1, 10 % of the steps"].policy[CHOSEN] > TOY.reference[CHOSEN]
    assert RUNS["DPO-Positive, λ = 5"].policy[CHOSEN] == pytest.approx(TOY.reference[CHOSEN], abs=0.01)
    assert RUNS["DPO-Positive, λ = 5"].policy[UNSEEN] > 0.3  # a floor under the chosen answer, no lid on the unseen one
    assert RUNS["DPO + likelihood term"].policy[UNSEEN] < TOY.reference[UNSEEN]
    assert RUNS["DPO on the policy's own pairs"].policy[UNSEEN] < TOY.reference[UNSEEN]
    assert all(run.kl < PLAIN.kl for name, run in RUNS.items() if run is not PLAIN), RUNS
    assert RUNS["DPO + explicit KL"].policy[CHOSEN] > 0.85
    assert PLAIN.policy[REJECTED] < 1e-3
