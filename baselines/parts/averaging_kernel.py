"""The arithmetic of a non-blocking interaction, compiled: each of its vectors is read and written once.

Compiled once for each kind of processor and kept in `__pycache__`. There is no fast-math and nothing is contracted to
fused multiply-adds, so that the bits are the same on any machine.
"""

import numpy as np
from numba import float32, njit, void


@njit(void(*[float32[::1]] * 4), cache=True)  # with its types it is compiled here, and not in the first interaction
def average_and_move(R_j: np.ndarray, R_i: np.ndarray, x: np.ndarray, start: np.ndarray) -> None:
    """R_j <- avg = (R_i + R_j)/2, and R_i, x, start <- avg + (x - start)."""
    for k in range(x.size):
        average = R_i[k] - (R_i[k] - R_j[k]) * np.float32(0.5)
        moved = (x[k] - start[k]) + average
        R_j[k] = average
        R_i[k] = moved
        x[k] = moved
        start[k] = moved
