"""The random numbers of random rounding, compiled: any coordinate's at any time, the same bits on any machine."""

import numpy as np
from numba import njit


@njit(inline="always")
def dither(index: int, a: np.uint32, b: np.uint32) -> float:
    """Return the dither of a coordinate, in [-1/2, 1/2): a hash of 32 bits.

    The mixer is lowbias32 of Chris Wellons, Prospecting for Hash Functions, 2018, with the keys a and b put in.
    """
    h = np.uint32(np.uint32(index) + a)
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x7FEB352D))
    h = np.uint32(h ^ (h >> np.uint32(15)))
    h = np.uint32(np.uint32(h + b) * np.uint32(0x846CA68B))
    h = np.uint32(h ^ (h >> np.uint32(16)))
    return np.float64(np.int32(h)) * 2.0**-32
