"""Step sizes and weights of the iterates in the analysis of SGD on strongly convex functions."""

from dataclasses import dataclass
from typing import Literal

Average = Literal["final", "mean", "t+a", "(t+a)^2"]
POWERS: dict[Average, float] = {"final": 0.0, "mean": 0.0, "t+a": 1.0, "(t+a)^2": 2.0}


@dataclass(frozen=True)
class StepSize:
    """eta_t = scale / (shift + t), t = 0, 1, ..."""

    scale: float
    shift: float

    @classmethod
    def theory(cls, gamma: float, a: float, regularisation: float) -> "StepSize":
        """Return eta_t = gamma / (lambda (a + t)); theorem 2.4 has gamma = 8 lambda / mu, the experiments gamma = 2."""
        return cls(gamma / regularisation, a)

    @classmethod
    def bottou(cls, gamma: float, regularisation: float) -> "StepSize":
        """Return eta_t = gamma / (1 + gamma lambda t) (Bottou, Stochastic Gradient Descent Tricks, 2012)."""
        return cls(1 / regularisation, 1 / (gamma * regularisation))

    def at(self, t: float) -> float:
        """Return eta_t."""
        return self.scale / (self.shift + t)


def sum_of_weights(a: float, steps: int) -> float:
    """Return S_T = sum_{t<T} (a + t)^2 = T/6 (2 T^2 + 6 a T - 3 T + 6 a^2 - 6 a + 1)."""
    return steps / 6 * (2 * steps**2 + 6 * a * steps - 3 * steps + 6 * a**2 - 6 * a + 1)


def online_share(a: float, t: int, power: float) -> float:
    """Return rho_t of the online form xbar <- (1 - rho_t) xbar + rho_t x_t, with w_t = (a + t)^power.

    For power 2, rho_t = 6 (t + a)^2 / ((1 + t) (6 a^2 + t + 6 a t + 2 t^2)).
    """
    if power == 0:
        return 1 / (t + 1)
    if power == 1:
        return 2 * (t + a) / ((1 + t) * (t + 2 * a))
    return 6 * (t + a) ** 2 / ((1 + t) * (6 * a**2 + t + 6 * a * t + 2 * t**2))
