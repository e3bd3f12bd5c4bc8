"""Local SGD with periodic averaging: how often to average, and how far from the optimum that leaves the mean model.

Haddadpour, Kamani, Mahdavi, Cadambe, NeurIPS 2019 (arXiv 1910.13598), whose symbols these are: T iterations, p workers,
mini-batches of B samples, tau local steps between two averagings, kappa = L/mu.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


def lupa_period(steps: int, workers: int, batch_size: int) -> float:
    """Return LUPA-SGD's tau = T^(2/3) / (pB)^(1/3), with which the rate stays O(1/(pBT)); their corollary."""
    return float(steps ** (2 / 3) / (workers * batch_size) ** (1 / 3))


def stich_period(steps: int, workers: int, batch_size: int) -> float:
    """Return tau = (T / (pB))^(1/2), what Stich's analysis (ICLR 2019) allows."""
    return math.sqrt(steps / (workers * batch_size))


ROUNDS = {
    "Yu et al. 2019": (3 / 4, 3 / 4),
    "Wang and Joshi 2018": (3 / 2, 1 / 2),
    "Stich 2019": (1 / 2, 1 / 2),
    "LUPA-SGD": (1 / 3, 1 / 3),
}
"""Rounds of communication that each analysis asks for, O(p^x T^y): the exponents (x, y) of their table 1."""


# -- rounds that grow


def growth_released(steps: int, tau_0: float, rounds: int) -> float:
    """Return alpha = 2/(E+1) T/(E tau_0), as the released code has it for tau_i = (1 + i alpha) tau_0."""
    return 2 / (rounds + 1) * steps / (rounds * tau_0)


def growth_exact(steps: int, tau_0: float, rounds: int, *, first: int = 0) -> float:
    """Return the alpha for which tau_i = (1 + i alpha) tau_0, i = first, ..., first + E - 1, sum to T.

    sum_i tau_i = E tau_0 (1 + alpha (2 first + E - 1)/2), so alpha = 2/(2 first + E - 1) (T/(E tau_0) - 1).
    """
    return 2 / (2 * first + rounds - 1) * (steps / (rounds * tau_0) - 1)


def linear_periods(tau_0: float, growth: float, rounds: int, *, first: int = 0) -> list[float]:
    """Return tau_i = (1 + i alpha) tau_0 for E rounds, from i = first on."""
    return [(1 + i * growth) * tau_0 for i in range(first, first + rounds)]


class Conditions(NamedTuple):
    """What the adaptive theorem asks of the rounds tau_1, ..., tau_E, each as the number that has to be 1 or bounded.

    Attributes:
        total: (i) sum_i tau_i / T, to be 1.
        squares: (ii) sum_i tau_i (tau_i - 1) / T^2, to be O(1).
        longest: (iii) (max_i tau_i)^3 pB / T^2, to be O(1).
    """

    total: float
    squares: float
    longest: float


def adaptive_conditions(periods: Sequence[float], steps: int, workers: int, batch_size: int) -> Conditions:
    """Return the adaptive theorem's conditions (i) to (iii) on rounds of these lengths."""
    return Conditions(
        sum(periods) / steps,
        sum(tau * (tau - 1) for tau in periods) / steps**2,
        max(periods) ** 3 * workers * batch_size / steps**2,
    )


# -- the bound


def offset(tau: float, kappa: float, workers: int) -> float:
    """Return a = alpha tau + 4 of the learning rate 4/(mu (t + a)), with alpha = kappa sqrt(192 (p+1)/p).

    Their condition, as we have it from memory, is alpha exp(-2/alpha) < kappa sqrt(192 (p+1)/p); this alpha fulfils it
    by a factor exp(-2/alpha) alone. Much smaller ones fulfil it, too, but start with a learning rate above 2/L.
    """
    return kappa * math.sqrt(192 * (workers + 1) / workers) * tau + 4


def bound(
    steps: int,
    tau: float,
    *,
    a: float,
    mu: float,
    kappa: float,
    variance: float,
    workers: int,
    batch_size: int,
    excess: float,
) -> float:
    """Return the bound on E F(xbar_T) - F* with the learning rate 4/(mu (t + a)); from memory, not seen in print.

        a^3/(T+a)^3 (F(xbar_0) - F*) + 4 kappa sigma^2 T (T + 2a)/(mu p B (T+a)^3)
            + 256 kappa^2 sigma^2 T (tau - 1)/(mu p B (T+a)^3)

    Args:
        variance: sigma^2, of one sample's gradient.
        excess: F(xbar_0) - F*.
    """
    noise = variance * steps / (mu * workers * batch_size * (steps + a) ** 3)
    start = (a / (steps + a)) ** 3 * excess
    return start + 4 * kappa * noise * (steps + 2 * a) + 256 * kappa**2 * noise * (tau - 1)


def error_on_quadratic(
    steps: int,
    *,
    a: float,
    eigenvalues: np.ndarray,
    start: np.ndarray,
    variances: np.ndarray,
    workers: int,
    batch_size: int,
) -> float:
    """Return E F(xbar_T) - F* of local SGD on F(x) = 1/2 sum_k lambda_k x_k^2 exactly, whenever the workers average.

    The mean of gradients that are linear is the gradient at the mean, so that xbar_{t+1} = xbar_t - eta_t (A xbar_t +
    the mean of the workers' noise), whatever tau is. With mu the least eigenvalue above 0 and eta_t = 4/(mu (t + a)),

        E xbar_k^2  <-  (1 - eta_t lambda_k)^2 E xbar_k^2 + eta_t^2 v_k/(pB).

    Args:
        eigenvalues: lambda, shape (d,), none negative.
        start: xbar_0, shape (d,).
        variances: v, of one sample's gradient in each direction, shape (d,); their sum is sigma^2.
    """
    mu = eigenvalues[eigenvalues > 0].min()
    eta = 4 / (mu * (np.arange(steps) + a))[:, None]
    left = np.ones((steps + 1, len(eigenvalues)))  # of what was there before iteration t
    left[:-1] = np.cumprod(((1 - eta * eigenvalues) ** 2)[::-1], axis=0)[::-1]
    noise = (eta**2 * left[1:]).sum(axis=0) * variances / (workers * batch_size)
    return float(eigenvalues @ (left[0] * start**2 + noise) / 2)


# -- Monte Carlo on functions of one variable

Function = Callable[[np.ndarray], np.ndarray]


class Objective(NamedTuple):
    """A function of one variable with its minimum F* = 0 at 0: PL with mu, smooth with L."""

    value: Function
    slope: Function
    mu: float
    L: float


OBJECTIVES = {
    "quadratic": Objective(lambda x: x**2 / 2, lambda x: x, 1.0, 1.0),
    "smooth": Objective(lambda x: x**2 + np.sin(x) - x, lambda x: 2 * x + np.cos(x) - 1, 1.0, 3.0),
    "kinked": Objective(lambda x: x**2 / 2 * np.where(x > 0, 3, 1), lambda x: x * np.where(x > 0, 3, 1), 1.0, 3.0),
}
"""The second has curvatures 2 - sin x, and the third a slope that bends at 0 as sharply as L and mu allow: where the
slope is not linear, the mean of the workers' gradients is not the gradient at their mean."""


def errors(
    objective: Objective,
    steps: int,
    taus: Sequence[int],
    *,
    a: float,
    workers: int,
    sigma: float,
    start: float,
    chains: int,
    random: np.random.Generator,
) -> np.ndarray:
    """Return F(xbar_T) of so many runs of local SGD for each tau, shape (len(taus), chains).

    Learning rate 4/(mu (t + a)); gradients have independent normal noise of standard deviation sigma. All tau have the
    same noise, so that differences between them are not differences of luck.
    """
    x = np.full((len(taus), chains, workers), float(start))
    for t in range(steps):
        noise = sigma * random.standard_normal((chains, workers))
        x -= 4 / (objective.mu * (t + a)) * (objective.slope(x) + noise)
        averaging = [k for k, tau in enumerate(taus) if (t + 1) % tau == 0]
        x[averaging] = x[averaging].mean(axis=2, keepdims=True)
    return objective.value(x.mean(axis=2))
