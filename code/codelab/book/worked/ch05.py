"""Worked example of chapter 5: a policy over three answers, trained by DPO and by its remedies, computed exactly.

The policy is a softmax over linear scores, so that what one answer learns can move another, as it does in a language
model. One preference pair is known (``CHOSEN`` over ``REJECTED``); nothing is said of ``UNSEEN``. Expectations over the
policy are sums over three answers, so no number is sampled. Not covered: sequences, several prompts, optimiser state.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
CHOSEN, REJECTED, UNSEEN = 0, 1, 2
Loss = Literal["dpo", "ipo", "dpop", "sft", "kl", "on_policy"]

# Chosen and rejected answers that are nearly alike, and an unseen answer along the difference of the two: the geometry
# that Razin et al. (2024) show to displace likelihood.
SHARED = np.array([[1.0, 0.3], [1.0, 0.0], [0.0, 0.6]])
# A parameter of its own for each answer: nothing is shared.
SEPARATE = np.eye(3)


@dataclass(frozen=True)
class Toy:
    """A reference policy over three answers and the features that their scores are linear in."""

    reference: FloatArray = field(default_factory=lambda: np.array([0.60, 0.35, 0.05]))
    features: FloatArray = field(default_factory=SHARED.copy)

    @property
    def difference(self) -> FloatArray:
        """Features of the chosen answer minus those of the rejected one; shape (d,)."""
        return np.asarray(self.features[CHOSEN] - self.features[REJECTED])

    def policy(self, theta: FloatArray) -> FloatArray:
        """Probabilities of the three answers at parameters ``theta``; zero parameters give the reference."""
        scores = np.log(self.reference) + self.features @ theta
        weights = np.exp(scores - scores.max())
        return np.asarray(weights / weights.sum())

    def log_ratios(self, theta: FloatArray) -> FloatArray:
        """log(policy / reference) of each answer, in nats."""
        return np.asarray(np.log(self.policy(theta)) - np.log(self.reference))


@dataclass(frozen=True)
class Path:
    """A training run: ``policies`` (steps + 1, 3), ``margins`` and ``kls`` (steps + 1,), both in nats."""

    policies: FloatArray
    margins: FloatArray
    kls: FloatArray


@dataclass(frozen=True)
class Setting:
    """One training run of the toy.

    ``weight`` is the remedy's own strength: DPO-Positive's lambda, the factor on the likelihood term or on KL. A step
    has the size ``rate / beta``, so that a smaller beta does not also mean a smaller first step: an optimiser that
    rescales gradients, such as Adam, behaves alike.
    """

    loss: Loss = "dpo"
    beta: float = 0.1
    weight: float = 0.0
    steps: int = 2000
    rate: float = 0.1


def kl(policy: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """KL(policy || reference) in nats; answers of probability zero under the policy add nothing."""
    p, q = np.asarray(policy, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    return float(np.sum(np.where(p > 0, p * (np.log(np.maximum(p, 1e-300)) - np.log(q)), 0.0)))


def optimum(reference: npt.ArrayLike, rewards: npt.ArrayLike, beta: float) -> FloatArray:
    """The policy that maximises expected reward minus ``beta`` times KL to the reference, in closed form."""
    scores = np.log(np.asarray(reference, dtype=np.float64)) + np.asarray(rewards, dtype=np.float64) / beta
    weights = np.exp(scores - scores.max())
    return np.asarray(weights / weights.sum())


def covered_dpo(reference: npt.ArrayLike, rewards: npt.ArrayLike, beta: float, steps: int = 2000) -> FloatArray:
    """Minimiser of the DPO loss when every pair is seen with its Bradley-Terry probability, by gradient descent."""
    q = np.asarray(reference, dtype=np.float64)
    r = np.asarray(rewards, dtype=np.float64)
    preferred = _sigmoid(r[:, None] - r[None, :])
    ratios = np.zeros(len(q))  # log(policy / reference) up to a constant, which no pair can see
    for _ in range(steps):
        error = preferred - _sigmoid(beta * (ratios[:, None] - ratios[None, :]))
        ratios += error.sum(axis=1) / beta
    weights = q * np.exp(ratios - ratios.max())
    return np.asarray(weights / weights.sum())


def train(toy: Toy, setting: Setting) -> Path:
    """Gradient descent from the reference on one loss; the gradients are exact.

    Args:
        toy: reference and features.
        setting: loss, strengths, number and size of steps.
    """
    theta = np.zeros(toy.features.shape[1])
    policies, margins, kls = [], [], []
    for _ in range(setting.steps + 1):
        p, ratios = toy.policy(theta), toy.log_ratios(theta)
        policies.append(p)
        margins.append(ratios[CHOSEN] - ratios[REJECTED])
        kls.append(kl(p, toy.reference))
        theta = theta - setting.rate / setting.beta * gradient(toy, theta, setting)
    return Path(np.array(policies), np.array(margins), np.array(kls))


def gradient(toy: Toy, theta: FloatArray, setting: Setting) -> FloatArray:
    """Gradient of the setting's loss in the parameters; shape (d,)."""
    p, ratios = toy.policy(theta), toy.log_ratios(theta)
    score = toy.features - p @ toy.features  # row y: gradient of log p(y)
    margin = ratios[CHOSEN] - ratios[REJECTED]
    beta, weight = setting.beta, setting.weight
    plain = -beta * _sigmoid(-beta * margin) * toy.difference
    if setting.loss == "dpo":
        result = plain
    elif setting.loss == "ipo":
        result = 2.0 * (margin - 1.0 / (2.0 * beta)) * toy.difference
    elif setting.loss == "dpop":
        fallen = max(0.0, -ratios[CHOSEN])
        pull = toy.difference + (weight * score[CHOSEN] if fallen > 0 else 0.0)
        result = -beta * _sigmoid(-beta * (margin - weight * fallen)) * pull
    elif setting.loss == "sft":
        result = plain - weight * score[CHOSEN]
    elif setting.loss == "kl":
        result = plain + weight * (p * ratios) @ score
    else:
        result = _on_policy_gradient(toy, p, ratios, beta)
    return np.asarray(result)


def half_weight_margin(beta: float) -> float:
    """Margin in nats at which DPO's weight on a pair, sigmoid(-beta h), is half of what it was at margin 0."""
    return float(np.log(3.0) / beta)


def margin_after(distance: float, beta: float) -> float:
    """Margin in nats that DPO's gradient flow reaches on one pair, whatever the features.

    With steps of size rate / beta the margin h obeys h + (exp(beta h) - 1) / beta = distance, where distance is
    rate x steps x squared length of the feature difference.
    """
    low, high = 0.0, distance
    for _ in range(200):
        middle = 0.5 * (low + high)
        reached = middle + np.expm1(beta * middle) / beta
        low, high = (middle, high) if reached < distance else (low, middle)
    return 0.5 * (low + high)


def along(toy: Toy, margins: npt.ArrayLike) -> FloatArray:
    """Policies on the one path that every loss of the margin alone follows, at given margins; shape (n, 3)."""
    step = toy.difference / float(toy.difference @ toy.difference)
    return np.array([toy.policy(margin * step) for margin in np.asarray(margins, dtype=np.float64)])


@dataclass(frozen=True)
class Outcome:
    """Where a run ends: the remedy's name, the policy (3,), its margin and KL in nats."""

    name: str
    policy: FloatArray
    margin: float
    kl: float


def remedies(toy: Toy | None = None) -> list[Outcome]:
    """The comparison of the chapter: DPO, then one change at a time, with equal steps unless they are the change."""
    toy = toy or Toy()
    base = Setting()
    runs = {
        "DPO, β = 0.1": base,
        "DPO, β = 1": replace(base, beta=1.0),
        "DPO, β = 0.1, 10 % of the steps": replace(base, steps=base.steps // 10),
        "IPO, τ = 0.5": replace(base, loss="ipo", beta=0.5),
        "DPO-Positive, λ = 5": replace(base, loss="dpop", weight=5.0),
        "DPO + likelihood term": replace(base, loss="sft", weight=0.1),
        "DPO + explicit KL": replace(base, loss="kl", weight=0.1),
        "DPO on the policy's own pairs": replace(base, loss="on_policy"),
    }
    return [_outcome(name, train(toy, setting)) for name, setting in runs.items()]


def _outcome(name: str, path: Path) -> Outcome:
    return Outcome(name, path.policies[-1], float(path.margins[-1]), float(path.kls[-1]))


def _on_policy_gradient(toy: Toy, p: FloatArray, ratios: FloatArray, beta: float) -> FloatArray:
    """Expected DPO gradient when both answers are drawn from the policy and ordered chosen > rejected > unseen."""
    total = np.zeros(toy.features.shape[1])
    for better, worse in ((CHOSEN, REJECTED), (CHOSEN, UNSEEN), (REJECTED, UNSEEN)):
        drawn = 2.0 * p[better] * p[worse]
        slope = beta * _sigmoid(-beta * (ratios[better] - ratios[worse]))
        total -= drawn * slope * (toy.features[better] - toy.features[worse])
    return total


def _sigmoid(x: npt.ArrayLike) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(x, dtype=np.float64))))
