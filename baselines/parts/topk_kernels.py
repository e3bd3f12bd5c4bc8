"""The loops of the exact top-k selection, compiled: magnitudes are compared as whole numbers, the 31 bits of |x|.

Compiled once for each kind of processor and kept in `__pycache__`. Inner loops run over slices from 0 on and in int32
throughout, or else they are not vectorised.
"""

import numpy as np
from numba import njit

MAGNITUDE = np.int32(0x7FFFFFFF)
"""All bits of a float32 but its sign; as whole numbers they are ordered as |x| is, nan above all."""
DIGITS = ((20, 2048), (10, 1024), (0, 1024))
"""Of the radix selection: how far to shift, and how many values a digit has."""


@njit(cache=True)
def block_maxima(bits: np.ndarray, block: int, out: np.ndarray) -> None:
    """Write the largest magnitude of each block of consecutive coordinates; the last may be shorter."""
    for j in range(out.size):
        part = bits[j * block : (j + 1) * block]
        most = np.int32(0)
        for i in range(part.size):
            most = max(most, np.int32(part[i] & MAGNITUDE))
        out[j] = most


@njit(cache=True)
def kth_largest(magnitudes: np.ndarray, k: int) -> tuple[int, int]:
    """Return the k-th largest of some magnitudes, and how many equal to it are among the k largest: radix selection,
    a pass for each digit that counts those alone that agree in the digits before."""
    prefix, left = 0, k
    for shift, size in DIGITS:
        counts = np.zeros(size, np.int64)
        above = shift + (11 if size == 2048 else 10)
        for i in range(magnitudes.size):
            value = np.int64(magnitudes[i])
            if value >> above == prefix:
                counts[(value >> shift) & (size - 1)] += 1
        digit = size - 1
        while counts[digit] < left:
            left -= counts[digit]
            digit -= 1
        prefix = prefix * size + digit
    return prefix, left


@njit(cache=True)
def candidates(
    bits: np.ndarray, block: int, maxima: np.ndarray, least: int, indices: np.ndarray, magnitudes: np.ndarray
) -> int:
    """Write the coordinates of at least a magnitude, in their order, and return their number.

    Args:
        indices, magnitudes: of the coordinates, with room for one more than there are.
    """
    found = 0
    for j in range(maxima.size):
        if maxima[j] >= least:
            part = bits[j * block : (j + 1) * block]
            for i in range(part.size):
                magnitude = part[i] & MAGNITUDE
                indices[found] = j * block + i
                magnitudes[found] = magnitude
                found += magnitude >= least
    return found


@njit(cache=True)
def take(indices: np.ndarray, magnitudes: np.ndarray, least: int, equal: int, out: np.ndarray) -> None:
    """Write those of the indices whose magnitude is above `least`, and the first so many where it is equal."""
    taken = 0
    for i in range(indices.size):
        if magnitudes[i] > least or (magnitudes[i] == least and equal > 0):
            equal -= magnitudes[i] == least
            out[taken] = indices[i]
            taken += 1
