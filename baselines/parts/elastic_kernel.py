"""The arithmetic of an elastic move, compiled: each of its vectors is read and written once.

Compiled once for each kind of processor and kept in `__pycache__`. There is no fast-math and nothing is contracted to
fused multiply-adds, so that the bits are the same on any machine.
"""

import numpy as np
from numba import float32, njit, void


@njit(void(float32, *[float32[::1]] * 3), cache=True)  # with its types it is compiled here, and not in the first move
def elastic(alpha: np.float32, x: np.ndarray, centre: np.ndarray, pull: np.ndarray) -> None:
    """pull <- alpha (x - centre), centre <- centre + pull."""
    for k in range(x.size):
        pull[k] = alpha * (x[k] - centre[k])
        centre[k] += pull[k]
