"""The loops of QSGD's quantizer and of its code of fixed width, compiled.

Compiled once for each kind of processor and kept in `__pycache__`. There is no fast-math and nothing is contracted to
fused multiply-adds, so that the bits are the same on any machine. Inner loops run over slices from 0 on, or else they
are not vectorised.
"""

import numpy as np
from numba import njit

from baselines.parts.dither_kernel import dither

MAGNITUDE = np.int32(0x7FFFFFFF)
ROUND = 1.5 * 2**52
"""v + ROUND is v rounded to a whole number for |v| < 2^51; its low bits are that number, in two's complement."""
MIDDLE = 2.0**-33
"""Half of a dither's step: with it dithers lie symmetrically in (-1/2, 1/2), so a whole number stays what it is."""


@njit(inline="always")
def _largest(x: np.ndarray) -> np.float32:
    """Return max |x_i|; nan where there is one."""
    bits, most = x.view(np.int32), np.int32(0)
    for i in range(bits.size):
        most = max(most, np.int32(bits[i] & MAGNITUDE))
    return np.int32(most).view(np.float32)


@njit(inline="always")
def _norm(x: np.ndarray) -> np.float32:
    """Return ||x||_2, rounded up, so that no |x_i| is above it."""
    lanes = np.zeros(8)
    whole = x.size // 8
    rows = x[: 8 * whole].reshape(whole, 8)
    for row in range(whole):
        for lane in range(8):
            value = np.float64(rows[row, lane])
            lanes[lane] += value * value
    total = 0.0
    for i in range(8 * whole, x.size):
        total += np.float64(x[i]) * np.float64(x[i])
    exact = np.sqrt(lanes.sum() + total)
    rounded = np.float32(exact)
    return np.nextafter(rounded, np.float32(np.inf)) if np.float64(rounded) < exact else rounded


@njit(cache=True)
def quantize(
    x: np.ndarray,
    s: int,
    bucket: int,
    by_largest: bool,
    a: np.uint32,
    b: np.uint32,
    scales: np.ndarray,
    levels: np.ndarray,
) -> None:
    """Write the scale of each bucket, and each coordinate's level with its sign, s x / scale randomly rounded."""
    for j in range(scales.size):
        first = j * bucket
        part, out = x[first : first + bucket], levels[first : first + bucket]
        scale = _largest(part) if by_largest else _norm(part)
        scales[j] = scale
        if scale == 0 or not np.isfinite(scale):
            out[:] = 0
            continue
        inverse = s / np.float64(scale)
        for i in range(part.size):
            value = np.float64(part[i]) * inverse + (dither(first + i, a, b) + MIDDLE)
            out[i] = np.int32(np.float64(value + ROUND).view(np.int64))


@njit(cache=True)
def add_dequantized(
    scales: np.ndarray, levels: np.ndarray, s: int, bucket: int, weight: float, out: np.ndarray
) -> None:
    """Add weight * scale * level / s to each coordinate."""
    for j in range(scales.size):
        part, target = levels[j * bucket : (j + 1) * bucket], out[j * bucket : (j + 1) * bucket]
        step = np.float64(scales[j]) / s * weight
        for i in range(part.size):
            target[i] += np.float32(step * part[i])


@njit(cache=True)
def pack(levels: np.ndarray, s: int, bits: int, out: np.ndarray) -> None:
    """Write level + s of each coordinate in so many bits, into words of 64, from the lowest bit on."""
    word, filled, place = np.uint64(0), 0, 0
    for i in range(levels.size):
        value = np.uint64(np.int64(levels[i]) + s)
        word |= value << np.uint64(filled)
        filled += bits
        if filled >= 64:
            out[place] = word
            place += 1
            filled -= 64
            word = value >> np.uint64(bits - filled) if filled else np.uint64(0)
    if filled:
        out[place] = word


@njit(cache=True)
def unpack(words: np.ndarray, s: int, bits: int, levels: np.ndarray) -> None:
    """Take them out again."""
    mask = np.uint64((1 << bits) - 1)
    for i in range(levels.size):
        bit = i * bits
        place, start = bit >> 6, bit & 63
        value = words[place] >> np.uint64(start)
        if start + bits > 64:
            value |= words[place + 1] << np.uint64(64 - start)
        levels[i] = np.int64(value & mask) - s
