"""Worked example of chapter 3: one group of completions as DPO and as GRPO see it.

Covers the group advantage, the k3 estimator with its two gradients, the DPO loss and its weight
on each log-probability, and the weight that each way of averaging gives a token. Everything is exact arithmetic on a
few numbers. Not covered: models, sampling, batching over devices.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def group_advantages(
    rewards: npt.ArrayLike, *, scale: bool = True, bessel: bool = True, guard: float = 1e-4
) -> FloatArray:
    """Rewards of one group, centred and, if wanted, divided by their standard deviation.

    Args:
        rewards: shape (group,), any unit.
        scale: divide by the standard deviation (GRPO) or not (Dr. GRPO).
        bessel: the sample standard deviation, as trl 1.14.2 computes it; otherwise the population one.
        guard: added to the standard deviation, as trl does, so that a group of equal rewards gives zeros.

    Returns:
        Shape (group,), the advantages.
    """
    values = np.asarray(rewards, dtype=np.float64)
    centred: FloatArray = values - values.mean()
    if not scale:
        return centred
    return np.asarray(centred / (values.std(ddof=1 if bessel else 0) + guard))


def k3(policy: npt.ArrayLike, reference: npt.ArrayLike) -> FloatArray:
    """Schulman's third estimator of KL(policy || reference), from the probabilities of what was drawn, in nats."""
    ratio = np.asarray(reference, dtype=np.float64) / np.asarray(policy, dtype=np.float64)
    return np.asarray(ratio - np.log(ratio) - 1.0)


def k3_expected_gradient(policy: npt.ArrayLike, reference: npt.ArrayLike, *, corrected: bool) -> FloatArray:
    """Expected gradient, in the logits of a categorical policy, of k3 used as a loss on the policy's own samples.

    Args:
        policy: shape (n,), probabilities.
        reference: shape (n,), probabilities.
        corrected: multiply k3 by the importance ratio before differentiating, as trl's ``use_bias_correction_kl`` does;
            the ratio is 1 on the policy's own samples, but its gradient is not 0.

    Returns:
        Shape (n,): the gradient of KL(policy || reference) if corrected, else that of KL(reference || policy).
    """
    p = np.asarray(policy, dtype=np.float64)
    q = np.asarray(reference, dtype=np.float64)
    score = np.eye(len(p)) - p  # row y: gradient of log p(y) in the logits
    weight = 1.0 - q / p
    if corrected:
        weight = weight + k3(p, q)
    return np.asarray((p * weight) @ score)


@dataclass(frozen=True)
class PairTerm:
    """What DPO makes of one pair: ``margin`` and ``loss`` in nats, ``weight`` of either log-probability's gradient."""

    margin: float
    loss: float
    weight: float


def dpo_pair(chosen: float, rejected: float, chosen_ref: float, rejected_ref: float, beta: float) -> PairTerm:
    """The DPO loss of one pair (Rafailov et al. 2023, equation 7 and the gradient after it).

    Args:
        chosen: log-probability of the preferred completion under the policy, summed over its tokens, in nats.
        rejected: the same for the other completion.
        chosen_ref: log-probability of the preferred completion under the reference.
        rejected_ref: the same for the other completion.
        beta: strength of the tie to the reference.
    """
    margin = (chosen - chosen_ref) - (rejected - rejected_ref)
    return PairTerm(
        margin=margin,
        loss=float(np.log1p(np.exp(-beta * margin))),
        weight=float(beta / (1.0 + np.exp(beta * margin))),
    )


def token_weights(advantages: npt.ArrayLike, lengths: npt.ArrayLike, max_length: int) -> dict[str, FloatArray]:
    """Factor on the gradient of one token's log-probability, by completion, for one on-policy group.

    Args:
        advantages: shape (group,).
        lengths: shape (group,), completion lengths in tokens.
        max_length: the constant that ``dr_grpo`` divides by, trl's ``max_completion_length``.

    Returns:
        By trl's name of the loss: shape (group,).
    """
    a = np.asarray(advantages, dtype=np.float64)
    n = np.asarray(lengths, dtype=np.float64)
    group = len(a)
    return {
        "grpo": a / (group * n),
        "dapo": a / n.sum(),
        "dr_grpo": a / (group * max_length),
    }


@dataclass(frozen=True)
class Group:
    """The example of the chapter: four completions of one prompt, their rewards, lengths and log-probabilities."""

    rewards: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0)
    lengths: tuple[int, ...] = (40, 60, 30, 110)
    logps: tuple[float, ...] = (-22.0, -30.0, -19.0, -52.0)
    reference_logps: tuple[float, ...] = (-22.5, -29.4, -19.0, -52.3)
    beta_dpo: float = 0.1
    max_length: int = 256

    @property
    def advantages(self) -> FloatArray:
        """Advantages as trl computes them with ``scale_rewards="group"``."""
        return group_advantages(self.rewards)

    @property
    def pair(self) -> PairTerm:
        """DPO's view of the first completion (chosen) against the second (rejected)."""
        return dpo_pair(self.logps[0], self.logps[1], self.reference_logps[0], self.reference_logps[1], self.beta_dpo)

    @property
    def dpo_weights(self) -> FloatArray:
        """Factor on the gradient of each completion's log-probability under DPO; shape (group,)."""
        weights = np.zeros(len(self.rewards))
        weights[0], weights[1] = self.pair.weight, -self.pair.weight
        return weights

    @property
    def weights(self) -> dict[str, FloatArray]:
        """Factor on the gradient of one token under each of trl's averagings (Dr. GRPO without the division by std)."""
        table = token_weights(self.advantages, self.lengths, self.max_length)
        centred = group_advantages(self.rewards, scale=False)
        table["dr_grpo"] = token_weights(centred, self.lengths, self.max_length)["dr_grpo"]
        return table
