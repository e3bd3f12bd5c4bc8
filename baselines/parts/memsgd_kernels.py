"""The loops of sequential Mem-SGD and SGD on dense rows, compiled.

A step costs O(d): it must read the row and, since the regulariser makes every gradient dense, the memory. It spares:

- the average. x changes where something is sent, so sum_t w_t x_t = S_T x_T + U_T with S the sum of the weights and
  U_j <- U_j + S_{t+1} g_j wherever g_j is taken off x_j: O(k) a step, not O(d);
- the choice. The pass over the memory leaves the largest |m_j| of each block of `BLOCK` coordinates; the top k are then
  found in O(k (d / BLOCK + BLOCK)).

Clock of a worker: `clock` = (t, S), float64, shape (2,): t is the global step it takes next, `stride` apart.
Step size: eta_t = scale / (shift + t). Weights: w_t = (a + t)^power.

The kernels release the interpreter's lock and write x without any: threads that share x are PARALLEL-MEM-SGD.
"""

import numpy as np
from numba import njit

from baselines.parts.random_stream import choose, draw, unit
from repro.tasks.logistic_rows import dense_dot, slope

BLOCK = 64
WITHOUT_SIGN = np.int64(2**63 - 1)


@njit(inline="always")
def number_sent(k: float, stream: np.ndarray) -> np.int64:
    """Return k, or for k < 1 one with probability k and else none."""
    if k >= 1.0:
        return np.int64(k)
    return np.int64(unit(draw(stream)) < k)


@njit(cache=True, nogil=True)
def largest_size(bits: np.ndarray) -> np.int64:
    """Return the bits of the largest |v_j|, `bits` being those of v as int64: they are in the order of the |v_j|, and
    unlike these have a maximum that compilers vectorise."""
    largest = np.int64(0)
    for j in range(bits.size):
        largest = max(largest, bits[j] & WITHOUT_SIGN)
    return largest


@njit(cache=True, nogil=True)
def position_of_largest(v: np.ndarray) -> int:
    """Return the first position with the largest |v_j|."""
    bits = v.view(np.int64)
    largest = largest_size(bits)
    for j in range(bits.size):
        if bits[j] & WITHOUT_SIGN == largest:
            return j
    return 0


@njit(cache=True, nogil=True)
def _accumulate(
    m: np.ndarray, row: np.ndarray, x: np.ndarray, s: float, decay: float, keep: float, largest: np.ndarray
) -> None:
    for j in range(x.size):
        m[j] = keep * m[j] + (s * row[j] + decay * x[j])
    bits, sizes = m.view(np.int64), largest.view(np.int64)
    for b in range(largest.size):
        sizes[b] = largest_size(bits[b * BLOCK : (b + 1) * BLOCK])


@njit(inline="always")
def send(j: int, factor: float, weights: float, m: np.ndarray, x: np.ndarray, u: np.ndarray) -> None:
    """Take factor * m_j out of the memory and off x_j."""
    g = factor * m[j]
    x[j] -= g
    u[j] += weights * g
    m[j] = 0.0


@njit(cache=True, nogil=True)
def dense_memory_steps(
    values: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    x: np.ndarray,
    m: np.ndarray,
    u: np.ndarray,
    clock: np.ndarray,
    stride: int,
    scale: float,
    shift: float,
    regularisation: float,
    a: float,
    power: float,
    k: float,
    top: bool,
    keep: float,
    factor: float,
    stream: np.ndarray,
    stamps: np.ndarray,
) -> None:
    """Take a step of Mem-SGD on each row of `order`.

    Args:
        keep: 1 with memory, 0 without.
        factor: by which what is sent is multiplied: 1, or d/k for the unbiased rand_k without memory.
    """
    largest = np.empty((x.size + BLOCK - 1) // BLOCK)
    chosen = np.empty(max(1, int(k)), np.int64)
    for i in order:
        t = clock[0]
        eta = scale / (shift + t)
        clock[1] += (a + t) ** power
        row = values[i]
        s = eta * slope(dense_dot(row, x), labels[i])
        _accumulate(m, row, x, s, eta * regularisation, keep, largest)
        count = number_sent(k, stream)
        if top:
            for _ in range(count):
                b = position_of_largest(largest)
                block = m[b * BLOCK : (b + 1) * BLOCK]
                send(b * BLOCK + position_of_largest(block), factor, clock[1], m, x, u)
                if k > 1:
                    largest.view(np.int64)[b] = largest_size(block.view(np.int64))
        else:
            choose(stream, count, stamps, chosen)
            for p in range(count):
                send(chosen[p], factor, clock[1], m, x, u)
        clock[0] = t + stride


@njit(cache=True, nogil=True)
def dense_sgd_steps(
    values: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    x: np.ndarray,
    u: np.ndarray,
    clock: np.ndarray,
    stride: int,
    scale: float,
    shift: float,
    regularisation: float,
    a: float,
    power: float,
) -> None:
    """Take a step of SGD on each row of `order`."""
    for i in order:
        t = clock[0]
        eta = scale / (shift + t)
        clock[1] += (a + t) ** power
        row = values[i]
        s, decay, weights = eta * slope(dense_dot(row, x), labels[i]), eta * regularisation, clock[1]
        for j in range(x.size):
            g = s * row[j] + decay * x[j]
            x[j] -= g
            u[j] += weights * g
        clock[0] = t + stride
