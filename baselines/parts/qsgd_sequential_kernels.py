"""The loops of sequential QSGD, compiled: the gradient, regulariser included, is quantized to s levels and applied.

    Q_s(v)_j = ||v||_2 sgn(v_j) xi_j,  xi_j = (l + 1)/s with probability s |v_j| / ||v|| - l, else l/s,
    l = floor(s |v_j| / ||v||).

Source: Alistarh et al., QSGD, NIPS 2017, section 3.1. Every coordinate has a draw of its own, of 53 bits: O(d) a step
on sparse rows, too, for the regulariser's part of the gradient is dense and is quantized with it, as in the released
code of Mem-SGD. The averages change only where a level is not 0.

Clock, step sizes and weights: `memsgd_kernels`.
"""

import numpy as np
from numba import njit

from baselines.parts.random_stream import GAMMA, mix, unit
from repro.tasks.logistic_rows import dense_dot, slope

# What is added to the state for each coordinate: the draws of a step are a counter's values, so they vectorise.


@njit(cache=True, nogil=True, fastmath={"contract"})
def quantize(v: np.ndarray, norm: float, s: int, state: np.uint64, out: np.ndarray) -> None:
    """Write the signed levels s xi_j sgn(v_j), whole numbers, of v with ||v|| = norm > 0 into `out`, float64."""
    inverse = s / norm
    for j in range(v.size):
        scaled = abs(v[j]) * inverse
        level = np.floor(scaled)
        uniform = unit(mix(state + np.uint64(j + 1) * GAMMA))
        level += np.float64(uniform < scaled - level)
        out[j] = np.copysign(level, v[j])


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _gradient(row: np.ndarray, x: np.ndarray, s: float, regularisation: float, out: np.ndarray) -> float:
    square = 0.0
    for j in range(x.size):
        value = s * row[j] + regularisation * x[j]
        out[j] = value
        square += value * value
    return np.sqrt(square)


@njit(inline="always")
def _apply(g: np.ndarray, unit_step: float, weights: float, x: np.ndarray, u: np.ndarray) -> None:
    for j in range(x.size):
        step = unit_step * g[j]
        x[j] -= step
        u[j] += weights * step


@njit(cache=True, nogil=True)
def dense_qsgd_steps(
    values: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    x: np.ndarray,
    u: np.ndarray,
    clock: np.ndarray,
    scale: float,
    shift: float,
    regularisation: float,
    a: float,
    power: float,
    s: int,
    stream: np.ndarray,
) -> int:
    """Take a step of QSGD on each row of `order`; return how many levels that were not 0 it sent."""
    g = np.empty(x.size)
    levels = np.empty(x.size)
    sent = 0
    for i in order:
        t = clock[0]
        clock[1] += (a + t) ** power
        row = values[i]
        norm = _gradient(row, x, slope(dense_dot(row, x), labels[i]), regularisation, g)
        if norm > 0.0:
            quantize(g, norm, s, stream[0], levels)
            stream[0] += np.uint64(x.size) * GAMMA
            _apply(levels, scale / (shift + t) * norm / s, clock[1], x, u)
            sent += int(np.count_nonzero(levels))
        clock[0] = t + 1.0
    return sent


@njit(cache=True, nogil=True)
def sparse_qsgd_steps(
    starts: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    x: np.ndarray,
    u: np.ndarray,
    clock: np.ndarray,
    scale: float,
    shift: float,
    regularisation: float,
    a: float,
    power: float,
    s: int,
    stream: np.ndarray,
) -> int:
    """The same on sparse rows."""
    g = np.empty(x.size)
    levels = np.empty(x.size)
    row = np.zeros(x.size, np.float32)
    sent = 0
    for i in order:
        t = clock[0]
        clock[1] += (a + t) ** power
        first, last = starts[i], starts[i + 1]
        margin = 0.0
        for p in range(first, last):
            margin += values[p] * x[columns[p]]
            row[columns[p]] = values[p]
        norm = _gradient(row, x, slope(margin, labels[i]), regularisation, g)
        if norm > 0.0:
            quantize(g, norm, s, stream[0], levels)
            stream[0] += np.uint64(x.size) * GAMMA
            _apply(levels, scale / (shift + t) * norm / s, clock[1], x, u)
            sent += int(np.count_nonzero(levels))
        for p in range(first, last):
            row[columns[p]] = 0.0
        clock[0] = t + 1.0
    return sent
