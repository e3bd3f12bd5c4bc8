"""Second moments of synchronous EASGD under additive and multiplicative noise, exactly.

x'^i = (1 - alpha - eta xi^i) x^i + alpha x~ + eta zeta^i and x~' = (1 - p alpha) x~ + alpha sum_i x^i, where xi has the
moments E xi = m1 and E xi^2 = m2, zeta has mean 0, and all are independent. By symmetry between workers the moments
A = E (x^i)^2, B = E x^i x^j, C = E x^i x~, D = E x~^2 obey a linear recursion of their own, in which zeta adds
eta^2 Var zeta to A. Derived here; input noise is a subject of Zhang's thesis (arXiv 1605.02216), of which only the
abstract was at hand.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def moment_map(eta: Any, alpha: Any, p: int, m1: Any, m2: Any) -> Array:
    """Return the matrix of (A, B, C, D) -> (A', B', C', D') without additive noise, of shape (..., 4, 4).

    With q = 1 - alpha - eta m1 and r = 1 - p alpha:
    A' = ((1-alpha)^2 - 2 (1-alpha) eta m1 + eta^2 m2) A + 2 alpha q C + alpha^2 D
    B' = q^2 B + 2 alpha q C + alpha^2 D
    C' = q (r C + alpha (A + (p-1) B)) + alpha (r D + alpha p C)
    D' = r^2 D + 2 r alpha p C + alpha^2 (p A + p (p-1) B)
    """
    eta, alpha, m1, m2 = np.broadcast_arrays(*(np.asarray(value, float) for value in (eta, alpha, m1, m2)))
    q, r, zero = 1 - alpha - eta * m1, 1 - p * alpha, np.zeros_like(alpha)
    own = (1 - alpha) ** 2 - 2 * (1 - alpha) * eta * m1 + eta**2 * m2
    rows = [
        [own, zero, 2 * alpha * q, alpha**2],
        [zero, q**2, 2 * alpha * q, alpha**2],
        [q * alpha, q * alpha * (p - 1), q * r + alpha**2 * p, alpha * r],
        [alpha**2 * p, alpha**2 * p * (p - 1), 2 * r * alpha * p, r**2],
    ]
    return np.moveaxis(np.array(rows), (0, 1), (-2, -1))


def largest_stable_rate(beta: float, p: int, k: float) -> float:
    """Return the largest eta for which the second moments of EASGD stay bounded, xi ~ Gamma(k) of mean 1, m2 = 1 + 1/k.

    beta = 0, p = 1 is SGD, whose bound is 2 / (1 + 1/k).
    """
    low, high = 0.0, 4.0
    while high - low > 1e-12:
        eta = (low + high) / 2
        radius = np.abs(np.linalg.eigvals(moment_map(eta, beta / p, p, 1.0, 1 + 1 / k)))
        # the centre of SGD stands still: its eigenvalue 1 is on the circle, and nothing else may be
        low, high = (eta, high) if radius.max() <= 1 + 1e-12 else (low, eta)
    return low


def inequality(eta: float, alpha: float, beta: float, p: int, mu: float, smooth: float) -> Array:
    """Return the matrix of the bound on (a, b, c) = (E|mean x|^2, mean E|x^i|^2, E|x~|^2) for mu-strongly convex and
    L-smooth functions, as remembered from the supplement:

    [[1 - gamma1 - gamma2 - alpha, gamma2, alpha], [0, 1 - gamma1 - alpha, alpha], [beta, 0, 1 - beta]],
    gamma1 = 2 eta mu L / (mu + L), gamma2 = 2 eta L (1 - 2 sqrt(mu L) / (mu + L)),
    for 0 <= eta <= 2 (1 - alpha) / (mu + L), 0 <= alpha < 1, 0 <= beta <= 1; to it comes
    (eta^2 sigma^2 / p, eta^2 sigma^2, 0).
    """
    gamma1 = 2 * eta * mu * smooth / (mu + smooth)
    gamma2 = 2 * eta * smooth * (1 - 2 * np.sqrt(mu * smooth) / (mu + smooth))
    return np.array(
        [
            [1 - gamma1 - gamma2 - alpha, gamma2, alpha],
            [0.0, 1 - gamma1 - alpha, alpha],
            [beta, 0.0, 1 - beta],
        ]
    )


def distances(second: Array, p: int) -> Array:
    """Return (a, b, c) of a quadratic from the moments of its eigen-coordinates, `second` of shape (d, 4)."""
    a, b, _, d = second.sum(axis=0)
    return np.array([(a + (p - 1) * b) / p, a, d])


@dataclass(frozen=True)
class Case:
    """A quadratic with eigenvalues `curvatures` in [mu, L], noise variances by coordinate, and a setting of EASGD.

    Args:
        start: moments (A, B, C, D) of each eigen-coordinate at first, shape (d, 4).
    """

    curvatures: Array
    noise: Array
    start: Array
    p: int
    eta: float
    alpha: float
    beta: float
    mu: float
    smooth: float


def random_case(rng: np.random.Generator) -> Case:
    """Return a case for which the theorem says that the inequality holds."""
    d, p = int(rng.integers(2, 6)), int(rng.integers(1, 9))
    mu, condition = float(rng.uniform(0.1, 2.0)), float(np.exp(rng.uniform(0, np.log(50))))
    beta = float(rng.uniform(0, 1))
    alpha = beta / p
    eta = float(rng.uniform(0, 1)) * 2 * (1 - alpha) / (mu * (1 + condition))
    curvatures = mu * np.concatenate([[1.0, condition], rng.uniform(1, condition, d - 2)])
    x, centre = rng.standard_normal((p, d)), rng.standard_normal(d)
    cross = (x.sum(axis=0) ** 2 - (x**2).sum(axis=0)) / max(1, p * (p - 1))
    start = np.stack([(x**2).mean(axis=0), cross, x.mean(axis=0) * centre, centre**2], axis=1)
    return Case(curvatures, rng.uniform(0, 2, d), start, p, eta, alpha, beta, mu, mu * condition)


def largest_ratio(case: Case, steps: int) -> Array:
    """Return the largest left / right of the inequality over `steps` steps for a, b and c; at most 1 where it holds."""
    maps = moment_map(case.eta, case.alpha, case.p, case.curvatures, case.curvatures**2)
    bound = inequality(case.eta, case.alpha, case.beta, case.p, case.mu, case.smooth)
    added = case.eta**2 * case.noise.sum() * np.array([1 / case.p, 1.0, 0.0])
    second, ratios = case.start, np.zeros(3)
    for _ in range(steps):
        right = bound @ distances(second, case.p) + added
        second = np.einsum("dij,dj->di", maps, second)
        second[:, 0] += case.eta**2 * case.noise
        ratios = np.maximum(ratios, distances(second, case.p) / right)
    return ratios
