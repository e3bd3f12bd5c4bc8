"""PARALLEL-MEM-SGD and lock-free SGD in virtual time, compiled: the order in which workers finish is given.

When worker w finishes a step, what it has to send reaches x; at once it reads x for its next step, from which others
keep writing. So the gradient of a step is as stale as the steps that finish meanwhile, and no write is lost. Source of
the method: Mem-SGD's algorithm 2. Every step costs O(d) here, on sparse rows too; it is a simulation, not a fast way.
"""

import numpy as np
from numba import njit

from baselines.parts.memsgd_kernels import position_of_largest
from baselines.parts.random_stream import choose
from repro.tasks.logistic_rows import slope


@njit(cache=True, nogil=True)
def virtual_steps(
    starts: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    labels: np.ndarray,
    order: np.ndarray,
    finishing: np.ndarray,
    begun: int,
    x: np.ndarray,
    memories: np.ndarray,
    places: np.ndarray,
    pending: np.ndarray,
    scale: float,
    shift: float,
    regularisation: float,
    k: int,
    top: bool,
    streams: np.ndarray,
    stamps: np.ndarray,
) -> None:
    """Let the workers `finishing` finish in this order, and each begin its next step on a row of `order`.

    Args:
        begun: steps that have begun before: t of the next.
        memories: of the workers, float64, shape (W, d); where k = 0, SGD, what each has yet to write.
        places, pending: what each has yet to send, shape (W, k); zeros at first.
    """
    for event in range(finishing.size):
        w = finishing[event]
        m = memories[w]
        if k == 0:
            for j in range(x.size):
                x[j] -= m[j]
                m[j] = 0.0
        for p in range(k):
            x[places[w, p]] -= pending[w, p]
        i = order[event]
        eta = scale / (shift + begun + event)
        margin = 0.0
        for p in range(starts[i], starts[i + 1]):
            margin += values[p] * x[columns[p]]
        s, decay = eta * slope(margin, labels[i]), eta * regularisation
        for j in range(x.size):
            m[j] += decay * x[j]
        for p in range(starts[i], starts[i + 1]):
            m[columns[p]] += s * values[p]
        if not top:
            choose(streams[w], k, stamps[w], places[w])
        for p in range(k):
            if top:
                places[w, p] = position_of_largest(m)
            pending[w, p] = m[places[w, p]]
            m[places[w, p]] = 0.0
