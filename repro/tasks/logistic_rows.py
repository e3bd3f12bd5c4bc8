"""l2-regularised logistic regression on rows of a data set, dense or sparse, for compiled loops.

    f(x) = 1/n sum_i log(1 + exp(-b_i <a_i, x>)) + lambda/2 |x|^2

Features are kept in float32, which halves the memory a pass has to read; all arithmetic is in float64.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit


@dataclass(frozen=True, eq=False)
class DenseRows:
    """The a_i as a matrix.

    Args:
        values: float32, shape (n, d).
        labels: b_i, -1 or +1, float64, shape (n,).
    """

    values: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self, values=np.float32, labels=np.float64)

    @property
    def n(self) -> int:
        return self.values.shape[0]

    @property
    def d(self) -> int:
        return self.values.shape[1]

    def as_sparse(self) -> "SparseRows":
        """Return the same rows in compressed form, all their elements listed."""
        starts = np.arange(self.n + 1) * self.d
        return SparseRows(starts, np.tile(np.arange(self.d), self.n), self.values.reshape(-1), self.labels, self.d)

    def normalised(self) -> "DenseRows":
        """Return the rows scaled to unit length, copied."""
        lengths = np.sqrt(np.einsum("ij,ij->i", self.values, self.values, dtype=np.float64))
        return DenseRows(self.values / lengths[:, None], self.labels)

    def subset(self, chosen: np.ndarray) -> "DenseRows":
        """Return these rows, copied."""
        return DenseRows(self.values[chosen], self.labels[chosen])

    def objective(self, x: np.ndarray, regularisation: float) -> float:
        """Return f(x)."""
        return dense_loss(self.values, self.labels, x) / self.n + regularisation / 2 * float(x @ x)


@dataclass(frozen=True, eq=False)
class SparseRows:
    """The a_i in compressed rows: row i has `values[starts[i]:starts[i + 1]]` at the columns of the same positions.

    Args:
        starts: int64, shape (n + 1,).
        columns: int32, each row's ascending and each once, shape (nnz,).
        values: float32, shape (nnz,).
        labels: b_i, -1 or +1, float64, shape (n,).
        d: columns in all.
    """

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    labels: np.ndarray
    d: int

    def __post_init__(self) -> None:
        _freeze(self, starts=np.int64, columns=np.int32, values=np.float32, labels=np.float64)

    @property
    def n(self) -> int:
        return self.labels.size

    def normalised(self) -> "SparseRows":
        """Return the rows scaled to unit length, those that are empty as they are, copied."""
        owners = np.repeat(np.arange(self.n), np.diff(self.starts))
        lengths = np.sqrt(np.bincount(owners, self.values.astype(np.float64) ** 2, minlength=self.n))
        return SparseRows(self.starts, self.columns, self.values / lengths[owners], self.labels, self.d)

    def subset(self, chosen: np.ndarray) -> "SparseRows":
        """Return these rows, copied."""
        lengths = np.diff(self.starts)[chosen]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        places = np.repeat(self.starts[chosen] - starts[:-1], lengths) + np.arange(starts[-1])
        return SparseRows(starts, self.columns[places], self.values[places], self.labels[chosen], self.d)

    def objective(self, x: np.ndarray, regularisation: float) -> float:
        """Return f(x)."""
        loss = sparse_loss(self.starts, self.columns, self.values, self.labels, x)
        return loss / self.n + regularisation / 2 * float(x @ x)

    def dense(self) -> DenseRows:
        """Return the same rows as a matrix."""
        values = np.zeros((self.n, self.d), np.float32)
        values[np.repeat(np.arange(self.n), np.diff(self.starts)), self.columns] = self.values
        return DenseRows(values, self.labels)


Rows = DenseRows | SparseRows


def _freeze(rows: Rows, **types: type) -> None:
    # Read-only, as memory-mapped files are: to numba another type than a writable array, for which it compiles anew.
    for name, kind in types.items():
        array: np.ndarray = np.ascontiguousarray(np.asarray(getattr(rows, name)), dtype=kind).view()
        array.flags.writeable = False
        object.__setattr__(rows, name, array)


# Sums are vectorised in an order that depends on the length alone, so the same row gives the same bits everywhere.
@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def dense_dot(row: np.ndarray, x: np.ndarray) -> float:
    """Return <row, x>."""
    total = 0.0
    for j in range(x.size):
        total += row[j] * x[j]
    return total


@njit(inline="always")
def slope(margin: float, label: float) -> float:
    """Return the derivative of log(1 + exp(-b z)) in z = <a, x>."""
    return -label / (1.0 + np.exp(label * margin))


@njit(inline="always")
def _softplus(z: float) -> float:
    return max(z, 0.0) + np.log1p(np.exp(-abs(z)))


@njit(cache=True, nogil=True)
def dense_loss(values: np.ndarray, labels: np.ndarray, x: np.ndarray) -> float:
    """Return the sum of the rows' losses."""
    total = 0.0
    for i in range(labels.size):
        total += _softplus(-labels[i] * dense_dot(values[i], x))
    return total


@njit(cache=True, nogil=True)
def sparse_loss(
    starts: np.ndarray, columns: np.ndarray, values: np.ndarray, labels: np.ndarray, x: np.ndarray
) -> float:
    """Return the sum of the rows' losses."""
    total = 0.0
    for i in range(labels.size):
        margin = 0.0
        for p in range(starts[i], starts[i + 1]):
            margin += values[p] * x[columns[p]]
        total += _softplus(-labels[i] * margin)
    return total
