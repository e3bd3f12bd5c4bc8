"""The loops of sequential Mem-SGD and SGD on sparse rows, compiled: a step costs close to O(nnz + k), for any lambda.

The regulariser makes every gradient dense, but while nothing is taken off x_j its part of the memory grows in
proportion to h_t = lambda sum_{s<t} eta_s alone. So each coordinate keeps `seen`, the h up to which its memory is up to
date, and is brought up to date where it is looked at:

    m_j <- m_j + (h - seen_j) x_j,   seen_j <- h.

- rand_k with memory: O(nnz + k).
- top_k with memory: O(nnz + d / BLOCK + k BLOCK). For every block of coordinates there is a bound on its largest |m_j|,

      |m_j| <= bound_b + (h - since_b) reach_b,   reach_b >= |x_j|,

  and only blocks whose bound is the largest of all are looked at, until the largest bound is exact: the choice is
  that of a full search. How many these are depends on the data; a few in practice.
- without memory: rand_k O(nnz + k); top_k O(nnz + k d), by full searches.
- SGD: O(nnz), with x = c v and the regulariser acting on the scalar c. With C_t = sum_{s<t} w_s c_s the weighted sum of
  the iterates is C_T v_T + U_T, U_j <- U_j - C_{t+1} (v_{t+1,j} - v_{t,j}) where v_j changes. Where c becomes 0 or
  tiny, v starts anew in O(d).
- averages of Mem-SGD: O(k), as on dense rows.

Clock, step sizes and weights: `memsgd_kernels`; here clock = (t, S, h).
"""

import numpy as np
from numba import njit

from baselines.parts.memsgd_kernels import largest_size, number_sent, position_of_largest, send
from baselines.parts.random_stream import choose
from repro.tasks.logistic_rows import slope

BLOCK = 64
TINY = 1e-60


@njit(inline="always")
def _settle(j: int, h: float, m: np.ndarray, seen: np.ndarray, x: np.ndarray) -> None:
    m[j] += (h - seen[j]) * x[j]
    seen[j] = h


@njit(cache=True, nogil=True)
def _refresh(
    b: int,
    h: float,
    m: np.ndarray,
    seen: np.ndarray,
    x: np.ndarray,
    bound: np.ndarray,
    since: np.ndarray,
    reach: np.ndarray,
) -> None:
    """Bring a block up to date and make its bound exact."""
    first, last = b * BLOCK, (b + 1) * BLOCK
    # slices: their indices cannot be negative, so that loops over them vectorise
    memory, up_to, at = m[first:last], seen[first:last], x[first:last]
    for j in range(memory.size):
        memory[j] += (h - up_to[j]) * at[j]
        up_to[j] = h
    bound.view(np.int64)[b] = largest_size(memory.view(np.int64))
    reach.view(np.int64)[b] = largest_size(at.view(np.int64))
    since[b] = h


@njit(cache=True, nogil=True)
def _bounds(h: float, bound: np.ndarray, since: np.ndarray, reach: np.ndarray, out: np.ndarray) -> None:
    for b in range(out.size):
        out[b] = bound[b] + (h - since[b]) * reach[b]


@njit(cache=True, nogil=True)
def _margin(columns: np.ndarray, values: np.ndarray, first: int, last: int, x: np.ndarray) -> float:
    total = 0.0
    for p in range(first, last):
        total += values[p] * x[columns[p]]
    return total


@njit(cache=True, nogil=True)
def sparse_memory_steps(
    starts: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    x: np.ndarray,
    m: np.ndarray,
    seen: np.ndarray,
    bound: np.ndarray,
    since: np.ndarray,
    reach: np.ndarray,
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
    stream: np.ndarray,
    stamps: np.ndarray,
) -> None:
    """Take a step of Mem-SGD on each row of `order`.

    `reach` may be shared with workers that write the same x: a worker that loses a race for it can at worst leave a
    coordinate out of the top k until its block is looked at again.
    """
    chosen = np.empty(max(1, int(k)), np.int64)
    now = np.empty(bound.size)
    exact = np.zeros(bound.size, np.bool_)
    touched = np.empty(bound.size, np.int64)
    for i in order:
        t = clock[0]
        eta = scale / (shift + t)
        clock[1] += (a + t) ** power
        first, last = starts[i], starts[i + 1]
        s = eta * slope(_margin(columns, values, first, last, x), labels[i])
        clock[2] += eta * regularisation
        h = clock[2]
        for p in range(first, last):
            j = columns[p]
            _settle(j, h, m, seen, x)
            m[j] += s * values[p]
            b = j // BLOCK
            bound[b] = max(bound[b], abs(m[j]) - (h - since[b]) * reach[b])
        count = number_sent(k, stream)
        if top:
            _bounds(h, bound, since, reach, now)
            looked = 0
            sent = 0
            while sent < count:
                b = position_of_largest(now)
                if exact[b]:
                    j = b * BLOCK + position_of_largest(m[b * BLOCK : (b + 1) * BLOCK])
                    send(j, 1.0, clock[1], m, x, u)
                    sent += 1
                else:
                    exact[b] = True
                    touched[looked] = b
                    looked += 1
                _refresh(b, h, m, seen, x, bound, since, reach)
                now[b] = bound[b]
            for p in range(looked):
                exact[touched[p]] = False
        else:
            choose(stream, count, stamps, chosen)
            for p in range(count):
                j = chosen[p]
                _settle(j, h, m, seen, x)
                send(j, 1.0, clock[1], m, x, u)
        clock[0] = t + stride


@njit(cache=True, nogil=True)
def sparse_forgetful_steps(
    starts: np.ndarray,
    columns: np.ndarray,
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
    factor: float,
    stream: np.ndarray,
    stamps: np.ndarray,
) -> None:
    """Take a step without memory on each row of `order`; m is all zeros before and after each."""
    chosen = np.empty(max(1, int(k)), np.int64)
    for i in order:
        t = clock[0]
        eta = scale / (shift + t)
        clock[1] += (a + t) ** power
        first, last = starts[i], starts[i + 1]
        s, decay = eta * slope(_margin(columns, values, first, last, x), labels[i]), eta * regularisation
        for p in range(first, last):
            m[columns[p]] = s * values[p]
        count = number_sent(k, stream)
        if top:
            for j in range(x.size):
                m[j] += decay * x[j]
            for _ in range(count):
                send(position_of_largest(m), factor, clock[1], m, x, u)
            m[:] = 0.0
        else:
            choose(stream, count, stamps, chosen)
            for p in range(count):
                m[chosen[p]] += decay * x[chosen[p]]
                send(chosen[p], factor, clock[1], m, x, u)
            for p in range(first, last):
                m[columns[p]] = 0.0
        clock[0] = t + stride


@njit(cache=True, nogil=True)
def sparse_sgd_steps(
    starts: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    v: np.ndarray,
    past: np.ndarray,
    factors: np.ndarray,
    u: np.ndarray,
    clock: np.ndarray,
    scale: float,
    shift: float,
    regularisation: float,
    a: float,
    power: float,
) -> None:
    """Take a step of SGD on each row of `order`; factors = (c, C), `past` the weighted sum from before v began anew."""
    for i in order:
        t = clock[0]
        eta = scale / (shift + t)
        w = (a + t) ** power
        clock[1] += w
        c = factors[0]
        first, last = starts[i], starts[i + 1]
        s = eta * slope(c * _margin(columns, values, first, last, v), labels[i])
        factors[1] += w * c
        c *= 1.0 - eta * regularisation
        if abs(c) < TINY:
            for j in range(v.size):
                past[j] += factors[1] * v[j] + u[j]
                u[j] = 0.0
                v[j] *= c
            c, factors[1] = 1.0, 0.0
        for p in range(first, last):
            j = columns[p]
            change = -s * values[p] / c
            v[j] += change
            u[j] -= factors[1] * change
        factors[0] = c
        clock[0] = t + 1.0


@njit(cache=True, nogil=True)
def sparse_hogwild_steps(
    starts: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    x: np.ndarray,
    rarity: np.ndarray,
    clock: np.ndarray,
    stride: int,
    scale: float,
    shift: float,
    regularisation: float,
) -> None:
    """Take a step of Hogwild on each row of `order`: it writes the coordinates of the row's support alone, of which
    each takes the regulariser's gradient times its `rarity`, n over the number of rows that have it: the same in the
    mean."""
    for i in order:
        t = clock[0]
        eta = scale / (shift + t)
        first, last = starts[i], starts[i + 1]
        s, decay = eta * slope(_margin(columns, values, first, last, x), labels[i]), eta * regularisation
        for p in range(first, last):
            j = columns[p]
            x[j] -= s * values[p] + min(1.0, decay * rarity[j]) * x[j]
        clock[0] = t + stride
