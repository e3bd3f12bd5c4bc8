"""How long a step takes where workers are slow at random, or always: order statistics of shifted exponentials, and the
rounds of Non-blocking SGD.

A gradient takes shift + Exp(mean), independent over workers and steps. Communication adds its own time to all of them.
The formulas are the usual ones of order statistics; those of Non-blocking SGD are derived here, since its paper (arXiv
2211.00889) could not be read beyond its abstract.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad
from scipy.stats import gamma, poisson


def harmonic(n: int) -> float:
    """Return H_n = 1 + 1/2 + ... + 1/n."""
    return math.fsum(1 / k for k in range(1, n + 1))


def order_statistic(n: int, k: int, *, shift: float = 0.0, mean: float = 1.0) -> float:
    """Return the expected time when the k-th of n workers is done, shift + mean (H_n - H_{n-k}).

    So the first is done after shift + mean/n, the last after shift + mean H_n.
    """
    return shift + mean * (harmonic(n) - harmonic(n - k))


def allreduce_step(n: int, *, shift: float = 0.0, mean: float = 1.0, communication: float = 0.0) -> float:
    """Return the expected time of a step that waits for all n workers, shift + mean H_n + communication."""
    return order_statistic(n, n, shift=shift, mean=mean) + communication


def neighbours_step(
    degrees: Sequence[int], *, shift: float = 0.0, mean: float = 1.0, communication: float = 0.0
) -> float:
    """Return the expected time until a worker and its neighbours are done, in the mean over workers that begin at once:
    shift + mean (mean of H_{1 + degree}) + communication.

    A step of D-PSGD takes no less in the long run, since neighbours do not begin together, and no more than
    `allreduce_step`.
    """
    waits = [order_statistic(d + 1, d + 1, shift=shift, mean=mean) for d in degrees]
    return math.fsum(waits) / len(waits) + communication


def matching_step(
    matchings: Sequence[Sequence[tuple[int, int]]],
    probabilities: Sequence[float],
    n: int,
    *,
    shift: float = 0.0,
    mean: float = 1.0,
    link: float = 0.0,
) -> float:
    """Return what `neighbours_step` is in MATCHA, in the mean over its draws: a worker waits for those it is matched
    with, and the matchings that are active take `link` one after the other, sum_j p_j link.
    """
    waits = []
    for i in range(n):
        met = [p for edges, p in zip(matchings, probabilities, strict=True) if any(i in edge for edge in edges)]
        number = np.array([1.0])  # distribution of the number of active matchings it is in
        for p in met:
            number = np.convolve(number, [1 - p, p])
        waits.append(math.fsum(q * harmonic(d + 1) for d, q in enumerate(number)))
    return shift + mean * math.fsum(waits) / n + link * math.fsum(probabilities)


def last_of_batches(n: int, m: int, *, shift: float = 0.0, mean: float = 1.0) -> float:
    """Return the expected time until all n workers have finished m mini-batches, each of shift + Exp(mean):
    m shift + integral of 1 - F(t)^n, F being the distribution of a sum of m exponentials."""
    return m * shift + mean * _integral(lambda t: 1 - gamma.cdf(t, m) ** n, m)


def first_of_batches(n: int, m: int, *, shift: float = 0.0, mean: float = 1.0) -> float:
    """Return the expected time until the first of n workers has finished m mini-batches: m shift + integral of
    (1 - F(t))^n."""
    return m * shift + mean * _integral(lambda t: gamma.sf(t, m) ** n, m)


@dataclass(frozen=True)
class Round:
    """A round of Non-blocking SGD.

    Attributes:
        time: from its beginning until the last worker goes into the averaging.
        finished: mini-batches of all workers together.
    """

    time: float
    finished: float

    def speed_up(self, blocking_time: float, blocking_finished: float) -> float:
        """Return how many times as many mini-batches a second it finishes as a blocking step does."""
        return self.finished / self.time / (blocking_finished / blocking_time)


def nonblocking_round(n: int, m: int, *, mean: float = 1.0, communication: float = 0.0) -> Round:
    """Return the expected round of n workers in which everybody hears of the first to finish its m mini-batches, each
    of Exp(mean).

    The others are then in the middle of a mini-batch, whose rest is Exp(mean) again, and finish it:

        E time = E first + mean H_{n-1} + communication
        E finished = m + (n - 1) E[1 + N | N < m],   N ~ Poisson(t / mean),   over the time t of the first
    """
    first = first_of_batches(n, m, mean=mean)

    def others(t: float) -> float:
        # n f(t) (1 - F(t))^(n-1), times the mean of 1 + N over N < m, whose probability is 1 - F(t)
        j = np.arange(m)
        counts = float(((j + 1) * poisson.pmf(j, t)).sum())
        return float(n * gamma.pdf(t, m) * gamma.sf(t, m) ** (n - 2) * counts)

    of_another = _integral(others, m) if n > 1 else 0.0
    return Round(first + mean * harmonic(n - 1) + communication, m + (n - 1) * of_another)


def nonblocking_round_of(factors: Sequence[float], m: int, *, communication: float = 0.0) -> Round:
    """Return the round of workers whose mini-batches always take `factors`, in which everybody hears at once of the
    first to finish m of them; a mini-batch that ends at that moment is finished, and none begun.

        k_i = min(m, ceil(m min f / f_i)),   time = max_i k_i f_i + communication

    The form of D-PSGD is faster: its workers need not wait for a neighbour's end of the round, but for its beginning.
    """
    first = m * min(factors)
    finished = [min(m, max(1, math.ceil(first / f * (1 - 1e-12)))) for f in factors]
    return Round(max(k * f for k, f in zip(finished, factors, strict=True)) + communication, sum(finished))


def ideal_speed_up(factors: Sequence[float]) -> float:
    """Return how many times as many samples a second workers finish that never wait, sum_i 1/f_i, as those who wait for
    the slowest, n / max f: the limit of many mini-batches. With half of them r times slower it is (1 + r)/2."""
    return math.fsum(1 / f for f in factors) * max(factors) / len(factors)


def _integral(function: object, m: int) -> float:
    return float(quad(function, 0, m + 12 * math.sqrt(m) + 40, limit=400, points=[m])[0])
