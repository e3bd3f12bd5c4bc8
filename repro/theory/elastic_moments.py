"""Mean and variance of synchronous EASGD's centre on a noisy quadratic, in one dimension.

Zhang, Choromanska, LeCun (arXiv 1412.6651), supplement. Gradients are g_t^i = h x_t^i - xi_t^i with Var xi = sigma^2,
the optimum is x* = 0, alpha = beta / p, and

    x_{t+1}^i = x_t^i - eta g_t^i - alpha (x_t^i - x~_t)
    x~_{t+1}  = x~_t + alpha sum_i (x_t^i - x~_t)

The closed forms are as remembered from the supplement, which was not at hand; that they are right is shown by
`moments`, the exact recursion, and by Monte Carlo.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Elastic:
    """The setting; eta and beta may be arrays that broadcast, for maps."""

    eta: float | Array
    beta: float | Array
    p: int
    h: float = 1.0
    sigma: float = 10.0

    @property
    def alpha(self) -> float | Array:
        """The moving rate of one worker, beta / p."""
        return self.beta / self.p

    @property
    def eigenvalues(self) -> tuple[Array, Array]:
        """gamma >= phi, the eigenvalues of (mean of x^i, x~): 1 - (a -+ sqrt(a^2 - 4 c^2)) / 2, always real.

        a = eta h + (p + 1) alpha, c^2 = eta h p alpha.
        """
        a = np.asarray(self.eta * self.h + (self.p + 1) * self.alpha)
        root = np.sqrt(a**2 - 4 * self.eta * self.h * self.beta)
        return 1 - (a - root) / 2, 1 - (a + root) / 2

    @property
    def stable(self) -> NDArray[np.bool_]:
        """Whether -1 < phi < gamma < 1, as the supplement has it: c^2 > 0, (2 - eta h)(2 - p alpha) > 2 alpha and
        (2 - eta h) + (2 - p alpha) > alpha."""
        u, v = 2 - self.eta * self.h, 2 - np.asarray(self.beta)
        return (self.eta * self.h * self.beta > 0) & (u * v > 2 * self.alpha) & (u + v > self.alpha)

    def mean(self, t: ArrayLike, start: float = 1.0) -> Array:
        """Return E x~_t where x~_0 = x_0^i = `start`; t may be infinite.

        gamma^t x~_0 + (gamma^t - phi^t) / (gamma - phi) alpha u_0,
        u_0 = sum_i (x_0^i - alpha / (1 - p alpha - phi) x~_0).
        """
        gamma, phi = self.eigenvalues
        u0 = self.p * (start - self.alpha / (1 - np.asarray(self.beta) - phi) * start)
        gamma_t, phi_t = _power(gamma, t), _power(phi, t)
        return np.asarray(gamma_t * start + (gamma_t - phi_t) / (gamma - phi) * self.alpha * u0)

    def variance(self, t: ArrayLike) -> Array:
        """Return Var x~_t; for t infinite the asymptotic variance, nan where the method is not stable.

        p^2 alpha^2 eta^2 / (gamma - phi)^2 * sigma^2 / p * [(gamma^2 - gamma^2t) / (1 - gamma^2)
            + (phi^2 - phi^2t) / (1 - phi^2) - 2 (gamma phi - (gamma phi)^t) / (1 - gamma phi)].
        """
        gamma, phi = self.eigenvalues
        sums = _geometric(gamma**2, t) + _geometric(phi**2, t) - 2 * _geometric(gamma * phi, t)
        factor = (np.asarray(self.beta) * self.eta) ** 2 / (gamma - phi) ** 2 * self.sigma**2 / self.p
        with np.errstate(invalid="ignore"):
            value = factor * sums
        return np.asarray(np.where(np.isinf(np.asarray(t, float)) & ~self.stable, np.nan, value))

    def mse(self, t: ArrayLike, start: float = 1.0) -> Array:
        """Return E x~_t^2, the mean squared error: squared mean and variance."""
        return np.asarray(self.mean(t, start) ** 2 + self.variance(t))


def _power(base: Array, t: ArrayLike) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        value = np.power(base, np.where(np.isinf(np.asarray(t, float)), 0, t))
    return np.where(np.isinf(np.asarray(t, float)), np.where(np.abs(base) < 1, 0.0, np.nan), value)


def _geometric(q: Array, t: ArrayLike) -> Array:
    """Return q + q^2 + ... + q^(t-1) = (q - q^t) / (1 - q)."""
    return np.asarray((q - _power(q, t)) / (1 - q))


def moments(of: Elastic, steps: int, start: float = 1.0) -> tuple[Array, Array, Array]:
    """Return E x~_t, Var x~_t and Var z_t for t = 0, ..., `steps`, by the exact recursion; z_t = mean of x~_0 to x~_t.

    The state (mean of x^i, x~, sum of the centres so far) obeys s' = M s + (eta mean xi, 0, 0): its mean is M^t s_0,
    its covariance C' = M C M^T + eta^2 sigma^2 / p e_1 e_1^T.
    """
    eta, beta, alpha = float(of.eta), float(of.beta), float(of.alpha)
    m = np.array([[1 - eta * of.h - alpha, alpha, 0.0], [beta, 1 - beta, 0.0], [beta, 1 - beta, 1.0]])
    mean, covariance, noise = np.full(3, start), np.zeros((3, 3)), np.zeros((3, 3))
    noise[0, 0] = eta**2 * of.sigma**2 / of.p
    rows = [(start, 0.0, 0.0)]
    for t in range(1, steps + 1):
        mean, covariance = m @ mean, m @ covariance @ m.T + noise
        rows.append((mean[1], covariance[1, 1], covariance[2, 2] / (t + 1) ** 2))
    means, variances, averaged = np.array(rows).T
    return means, variances, averaged


Noise = Literal["normal", "exponential"]


def simulate(
    of: Elastic, at: Sequence[int], replicas: int, rng: np.random.Generator, noise: Noise = "normal", start: float = 1.0
) -> tuple[Array, Array]:
    """Return x~_t and z_t of independent repetitions at the steps `at`, each of shape (len(at), replicas).

    Args:
        noise: law of xi, of variance sigma^2; `exponential` is skewed, and shifted to mean 0.
    """
    x = np.full((of.p, replicas), start)
    centre, total = np.full(replicas, start), np.full(replicas, start)
    found = {0: (centre.copy(), total.copy())}
    for t in range(1, max(at) + 1):
        xi = rng.standard_normal(x.shape) if noise == "normal" else rng.standard_exponential(x.shape) - 1
        elastic = of.alpha * (x - centre)
        x -= of.eta * (of.h * x - of.sigma * xi) + elastic
        centre += elastic.sum(axis=0)
        total += centre
        if t in at:
            found[t] = (centre.copy(), total / (t + 1))
    return np.array([found[t][0] for t in at]), np.array([found[t][1] for t in at])
