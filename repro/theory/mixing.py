"""Synchronous EASGD as mixing of models: Wang, Joshi, Cooperative SGD (arXiv 1808.07576).

A step multiplies (x^1, ..., x^m, x~) with W = [[(1 - alpha) I, alpha 1], [alpha 1^T, 1 - m alpha]], whose eigenvalues
are 1, 1 - alpha (m - 1 times) and 1 - (m + 1) alpha. The larger modulus of the latter two is least at
alpha = 2 / (m + 2).
"""

import numpy as np
from numpy.typing import NDArray


def elastic_mixing(m: int, alpha: float) -> NDArray[np.float64]:
    """Return W, of shape (m + 1, m + 1)."""
    w = np.eye(m + 1) * (1 - alpha)
    w[:m, m] = w[m, :m] = alpha
    w[m, m] = 1 - m * alpha
    return w


def disagreement_left(w: NDArray[np.float64]) -> float:
    """Return the largest |eigenvalue| of W but that of equal models: what a step leaves of a disagreement."""
    return float(np.abs(np.linalg.eigvalsh(w - np.full_like(w, 1 / len(w)))).max())
