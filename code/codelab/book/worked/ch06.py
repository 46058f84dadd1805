r"""A forgetting problem in two parameters, solved exactly: chapter 6's worked example.

The old loss is :math:`\tfrac12\theta^\top A\theta` (zero at the old optimum, so its value *is* the forgetting), the new
one :math:`\tfrac12(\theta-b)^\top B(\theta-b)`; both are the second-order picture of a network near its start. Every
strategy is a path of parameter vectors with one knob, in closed form. Not covered: anything beyond second order, noise
of the gradient, and sizes that occur in practice; the example shows mechanisms, not magnitudes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.floating[Any]]
Matrix = NDArray[np.floating[Any]]
Path = Callable[[float], Vector]


def _rotated(eigenvalues: tuple[float, float], degrees: float) -> Matrix:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix: Matrix = turn @ np.diag(eigenvalues) @ turn.T
    return matrix


OLD = _rotated((1.0, 0.03), 60.0)  # steep along one direction, nearly flat across it
NEW = _rotated((1.0, 0.4), 10.0)
TARGET: Vector = np.array([1.4, 0.9])


def forgetting(theta: Vector, old: Matrix = OLD) -> float:
    """Rise of the old loss over its value at the start (zero)."""
    return float(0.5 * theta @ old @ theta)


def new_loss(theta: Vector) -> float:
    """Loss on the new data above its minimum."""
    gap = theta - TARGET
    return float(0.5 * gap @ NEW @ gap)


def gain(theta: Vector) -> float:
    """Share of the new loss that has been removed: 0 at the start, 1 at the new optimum."""
    return 1 - new_loss(theta) / new_loss(np.zeros(2))


def pulled(penalty: Matrix, strength: float) -> Vector:
    """Minimum of the new loss plus ``strength``/2 times the quadratic form of ``penalty`` in the distance moved."""
    theta: Vector = np.linalg.solve(NEW + strength * penalty, NEW @ TARGET)
    return theta


def replay(share: float) -> Vector:
    """Minimum of the mixture of losses in which old data have a share below 1."""
    theta: Vector = np.linalg.solve((1 - share) * NEW + share * OLD, (1 - share) * NEW @ TARGET)
    return theta


def descent(time: float) -> Vector:
    """Plain fine-tuning by gradient flow, stopped at ``time`` (learning rate times steps)."""
    values, vectors = np.linalg.eigh(NEW)
    theta: Vector = TARGET - vectors @ (np.exp(-values * time) * (vectors.T @ TARGET))
    return theta


def interpolation(weight: float) -> Vector:
    """The straight line from the old weights (0) to the fine-tuned ones (1)."""
    return weight * TARGET


def low_rank(step: float) -> Vector:
    """Moves along one fixed direction, the first gradient; ``step`` 1 is the best point on that line."""
    direction = NEW @ TARGET
    best = float(direction @ NEW @ TARGET) / float(direction @ NEW @ direction)
    theta: Vector = step * best * direction
    return theta


@dataclass(frozen=True)
class Strategy:
    """A path with one knob; the gain rises along the knob from ``start`` to ``end``."""

    name: str
    path: Path
    start: float
    end: float

    def thetas(self, count: int = 120) -> NDArray[Any]:
        """Parameters along the path, shape (count, 2), denser near the start, where a knob can move far at once."""
        span = (self.end - self.start) * np.linspace(0, 1, count) ** 3
        return np.array([self.path(self.start + step) for step in span])

    def points(self, count: int = 120) -> NDArray[Any]:
        """Gain and forgetting along the path, shape (count, 2)."""
        return np.array([(gain(theta), forgetting(theta)) for theta in self.thetas(count)])

    def at_gain(self, wanted: float) -> float | None:
        """Forgetting where the gain first reaches ``wanted``; None if the path never does."""
        if gain(self.path(self.end)) < wanted - 1e-12:
            return None
        low, high = self.start, self.end
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if gain(self.path(middle)) < wanted else (low, middle)
        return forgetting(self.path(high))


def _penalty(matrix: Matrix) -> Path:
    """Knob 0..1 instead of a strength from infinity to zero."""
    return lambda knob: pulled(matrix, (1 - knob) / knob) if knob > 0 else np.zeros(2)


STRATEGIES: tuple[Strategy, ...] = (
    Strategy("early stopping", descent, 0.0, 40.0),
    Strategy("interpolation of weights", interpolation, 0.0, 1.0),
    Strategy("L2 to the start", _penalty(np.eye(2)), 0.0, 1.0),
    Strategy("one fixed direction (low rank)", low_rank, 0.0, 1.0),
    Strategy("EWC (diagonal Fisher)", _penalty(np.diag(np.diag(OLD))), 0.0, 1.0),
    Strategy("replay", lambda knob: replay(1 - knob) if knob > 0 else np.zeros(2), 0.0, 1.0),
)


def at_gain(wanted: float = 0.8) -> dict[str, float | None]:
    """Forgetting of each strategy where the new loss has fallen by the share ``wanted``."""
    return {each.name: each.at_gain(wanted) for each in STRATEGIES}


# Final losses at 405 M parameters after the Pile, by share of replayed Pile text: old loss, new loss. Ibrahim et al.
# 2024 (arXiv:2403.08763), table 2; the old loss before continued pretraining is 2.17 (table 3).
REPLAY_START = 2.17
REPLAY_WEAK = {0.0: (2.44, 2.50), 0.005: (2.27, 2.50), 0.01: (2.26, 2.50), 0.05: (2.23, 2.51), 0.1: (2.21, 2.51),
               0.5: (2.16, 2.54)}  # fmt: skip
REPLAY_STRONG = {0.0: (3.56, 1.11), 0.01: (2.83, 1.12), 0.05: (2.57, 1.12), 0.1: (2.46, 1.13), 0.25: (2.33, 1.16),
                 0.5: (2.24, 1.22)}  # fmt: skip


def recovered(table: dict[float, tuple[float, float]], share: float) -> float:
    """Part of the forgetting without replay that a share of replay avoids.

    Raises:
        KeyError: the share is not in the table.
    """
    worst = table[0.0][0] - REPLAY_START
    return (table[0.0][0] - table[share][0]) / worst
