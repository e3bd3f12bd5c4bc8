"""The loops of the cubic lattice, compiled: one pass over memory, all of it vectorised, the same bits on any machine.

Compiled once for each kind of processor and kept in `__pycache__`. There is no fast-math and nothing is contracted to
fused multiply-adds, so that writer and reader, on whatever machines, agree on every lattice point.
"""

import numpy as np
from numba import njit

from baselines.parts.dither_kernel import dither

ROUND = 1.5 * 2**52
"""v + ROUND is v rounded to a whole number, half to even as np.rint, for |v| < 2^51; its low bits are that number."""


@njit(inline="always")
def _colour(x: np.float32, inverse: float, theta: float, mask: np.int64) -> np.int64:
    return np.float64(np.float64(x) * inverse + theta + ROUND).view(np.int64) & mask


@njit(inline="always")
def _nearest(c: float, key: np.float32, s: float, inverse: float, theta: float, q: float) -> np.float32:
    point = c - theta
    turns = ((np.float64(key) * inverse - point) * (1.0 / q) + ROUND) - ROUND  # 1/q is exact, q being a power of two
    return np.float32(s * (point + q * turns))


@njit(cache=True)
def encode(
    x: np.ndarray, s: float, dithered: bool, a: np.uint32, b: np.uint32, first: int, q: int, out: np.ndarray
) -> None:
    """Write the colours of x, one to an element of `out`."""
    inverse, mask = 1.0 / s, np.int64(q - 1)
    if dithered:
        for i in range(x.size):
            out[i] = _colour(x[i], inverse, dither(first + i, a, b), mask)
    else:
        for i in range(x.size):
            out[i] = _colour(x[i], inverse, 0.0, mask)


@njit(cache=True)
def decode(
    colours: np.ndarray,
    key: np.ndarray,
    s: float,
    dithered: bool,
    a: np.uint32,
    b: np.uint32,
    first: int,
    q: int,
    out: np.ndarray,
) -> None:
    """Write the lattice points of these colours that are nearest to the key."""
    inverse, colour_count = 1.0 / s, np.float64(q)
    if dithered:
        for i in range(key.size):
            out[i] = _nearest(np.float64(colours[i]), key[i], s, inverse, dither(first + i, a, b), colour_count)
    else:
        for i in range(key.size):
            out[i] = _nearest(np.float64(colours[i]), key[i], s, inverse, 0.0, colour_count)


@njit(cache=True)
def pack(colours: np.ndarray, out: np.ndarray) -> None:
    """Put two colours of 4 bits into each byte, the first into the lower half."""
    for i in range(colours.size // 2):
        out[i] = colours[2 * i] | (colours[2 * i + 1] << 4)
    if colours.size % 2:
        out[colours.size // 2] = colours[-1]


@njit(cache=True)
def unpack(packed: np.ndarray, out: np.ndarray) -> None:
    """Take them out again."""
    for i in range(out.size):
        out[i] = (packed[i >> 1] >> ((i & 1) << 2)) & 15
