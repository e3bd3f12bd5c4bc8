"""Stability of round-robin EASGD and ADMM on F(x) = x^2/2, one dimension, no noise.

Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651), section 4,
equations (8) to (13) and figure 1. Workers take turns; a turn is linear in the state, so is a round of p turns, and the
method is stable where no eigenvalue of its map lies outside the unit circle.

A state is an array s whose first axis holds its coordinates: (x^1, ..., x^p, x~) of EASGD, (lambda^1, x^1, ...,
lambda^p, x^p, x~) of ADMM. Turns work on it in place, whatever its further axes: on a vector they are the iteration
itself, on the identity they make its matrix.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Turn = Callable[[Array, int, Any, Any], None]
"""(state, worker, eta, alpha or rho): one worker's turn, in place."""


def easgd_turn(s: Array, i: int, eta: Any, alpha: Any) -> None:
    """Worker i of EASGD: x^i <- x^i - eta x^i - alpha (x^i - x~), x~ <- x~ + alpha (x^i - x~) (equations 12, 13)."""
    elastic = alpha * (s[i] - s[-1])
    s[i] -= eta * s[i] + elastic
    s[-1] += elastic


def admm_turn(s: Array, i: int, eta: Any, rho: Any) -> None:
    """Worker i of ADMM, lambda in units of rho (equations 8 to 11).

    lambda^i <- lambda^i - (x^i - x~)
    x^i      <- ((1 - eta) x^i + eta rho (lambda^i + x~)) / (1 + eta rho)
    x~       <- 1/p sum_j (x^j - lambda^j)
    """
    lam, x, centre = s[0:-1:2], s[1:-1:2], s[-1]
    lam[i] -= x[i] - centre
    x[i] = ((1 - eta) * x[i] + eta * rho * (lam[i] + centre)) / (1 + eta * rho)
    s[-1] = (x - lam).mean(axis=0)


TURNS: dict[str, tuple[Turn, int]] = {"EASGD": (easgd_turn, 1), "ADMM": (admm_turn, 2)}
"""A method's turn, and how many coordinates a worker has."""


def round_map(method: str, p: int, eta: Any, penalty: Any, workers: Sequence[int] | None = None) -> Array:
    """Return the matrix of a round, the turns of workers 1 to p one after the other.

    Args:
        eta, penalty: learning rate, and alpha of EASGD or rho of ADMM; arrays that broadcast, to shape (...).
        workers: whose turns, in place of all p.

    Returns:
        array of shape (..., n, n), n = p + 1 for EASGD and 2p + 1 for ADMM.
    """
    turn, each = TURNS[method]
    eta, penalty = np.broadcast_arrays(eta, penalty)
    n = each * p + 1
    s = np.broadcast_to(np.eye(n).reshape(n, n, *[1] * eta.ndim), (n, n, *eta.shape)).copy()
    for i in range(p) if workers is None else workers:
        turn(s, i, eta, penalty)
    return np.moveaxis(s, (0, 1), (-2, -1))


def spectral_radius(maps: Array) -> Array:
    """Return the largest |eigenvalue| of each matrix, of shape (...)."""
    return np.asarray(np.abs(np.linalg.eigvals(maps)).max(axis=-1))


def easgd_turn_radius(eta: Any, alpha: Any) -> Array:
    """Return the spectral radius of a turn of EASGD on the two coordinates it changes.

    M = [[1 - eta - alpha, alpha], [alpha, 1 - alpha]] is symmetric; its eigenvalues solve
    (1 - eta - alpha - l)(1 - alpha - l) = alpha^2.
    """
    middle, reach = 1 - alpha - eta / 2, np.hypot(eta / 2, alpha)
    return np.asarray(np.abs(middle) + reach)


def easgd_is_stable(eta: Any, alpha: Any) -> NDArray[np.bool_]:
    """Return whether 0 <= eta <= 2 and 0 <= alpha <= (4 - 2 eta) / (4 - eta): the paper's condition, for all p."""
    eta, alpha = np.asarray(eta), np.asarray(alpha)
    return (eta >= 0) & (eta <= 2) & (alpha >= 0) & (alpha * (4 - eta) <= 4 - 2 * eta)


def trajectory(method: str, p: int, eta: float, penalty: float, start: float, steps: int, every: int) -> Array:
    """Return the centre after 0, `every`, 2 `every`, ... turns; x^i = x~ = `start` and lambda^i = 0 at first."""
    turn, each = TURNS[method]
    s = np.full(each * p + 1, start)
    if method == "ADMM":
        s[0:-1:2] = 0.0
    centre = [start]
    for t in range(steps):
        turn(s, t % p, eta, penalty)
        if (t + 1) % every == 0:
            centre.append(s[-1])
    return np.array(centre)
