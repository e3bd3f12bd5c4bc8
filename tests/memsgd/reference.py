"""Mem-SGD written out in NumPy, a line for a line of the paper: the truth of tests, and the other way of benchmarks."""

from collections.abc import Callable

import numpy as np

from repro.tasks.logistic_rows import DenseRows, SparseRows

Compressor = Callable[[np.ndarray], np.ndarray]
"""From a vector to the positions that are sent."""


def top_k(k: int) -> Compressor:
    return lambda v: np.argpartition(np.abs(v), -k)[-k:]


class Reference:
    """Algorithm 1 with weights (a + t)^power and the average in its online form, the weights summed as they come."""

    def __init__(self, x: np.ndarray, eta: Callable[[int], float], lam: float, a: float, power: float) -> None:
        self.x, self.m, self.average = x.copy(), np.zeros_like(x), x.copy()
        self.eta, self.lam, self.a, self.power, self.t, self.total = eta, lam, a, power, 0, 0.0

    def step(self, row: np.ndarray, label: float, compress: Compressor, memory: bool = True) -> np.ndarray:
        """Take a step; return eta_t times the gradient."""
        weight = (self.a + self.t) ** self.power
        self.total += weight
        rho = weight / self.total
        self.average = (1 - rho) * self.average + rho * self.x
        gradient = -label * row / (1 + np.exp(label * (row @ self.x))) + self.lam * self.x
        update = self.eta(self.t) * gradient
        self.m = self.m + update if memory else update.copy()
        sent = np.zeros_like(self.x)
        chosen = compress(self.m)
        sent[chosen] = self.m[chosen]
        self.x = self.x - sent
        self.m = self.m - sent
        self.t += 1
        return update


def random_rows(n: int, d: int, density: float, seed: int) -> SparseRows:
    """Rows of unit length with labels of a logistic model."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, d)) * (rng.random((n, d)) < density)
    values[np.arange(n), rng.integers(0, d, n)] = 1.0  # no row is empty
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    labels = np.where(rng.random(n) < 1 / (1 + np.exp(-values @ rng.standard_normal(d) * 5)), 1.0, -1.0)
    return to_sparse(values.astype(np.float32), labels)


def to_sparse(values: np.ndarray, labels: np.ndarray) -> SparseRows:
    row, column = np.nonzero(values)
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(values)))])
    return SparseRows(starts, column, values[row, column], labels, values.shape[1])


def to_dense(rows: SparseRows) -> DenseRows:
    """The same rows, by a loop of its own."""
    values = np.zeros((rows.n, rows.d), np.float32)
    for i in range(rows.n):
        for p in range(rows.starts[i], rows.starts[i + 1]):
            values[i, rows.columns[p]] = rows.values[p]
    return DenseRows(values, rows.labels)
