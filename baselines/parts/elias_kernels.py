"""Elias's omega code and the two codes that QSGD builds on it, compiled.

A stream of bits fills words of 64 from the highest bit on. Compiled once for each kind of processor and kept in
`__pycache__`.
"""

import numpy as np
from numba import njit

SCALE_BITS = 32


@njit(inline="always")
def _bit_length(n: int) -> int:
    return int(np.float64(n).view(np.int64) >> 52) - 1022  # the exponent


@njit(inline="always")
def _omega(n: int) -> tuple[np.uint64, int]:
    """Return the code word of n >= 1 and its length: groups are put before the closing 0 until the first is 1."""
    word, length = np.uint64(0), 1
    while n > 1:
        bits = _bit_length(n)
        word |= np.uint64(n) << np.uint64(length)
        length += bits
        n = bits - 1
    return word, length


@njit(inline="always")
def _put(out: np.ndarray, at: int, word: np.uint64, length: int) -> int:
    """Write the lowest bits of a word behind the first `at` bits, and return how many there are then."""
    place, room = at >> 6, 64 - (at & 63)
    if length <= room:
        out[place] |= word << np.uint64(room - length)
    else:
        out[place] |= word >> np.uint64(length - room)
        out[place + 1] |= word << np.uint64(64 - (length - room))
    return at + length


@njit(inline="always")
def _peek(words: np.ndarray, at: int) -> np.uint64:
    """Return the next 64 bits."""
    place, start = at >> 6, at & 63
    window = words[place] << np.uint64(start)
    return window | (words[place + 1] >> np.uint64(64 - start)) if start else window


@njit(inline="always")
def _get(words: np.ndarray, at: int) -> tuple[int, int]:
    """Return the number whose code word comes next, and where it ends."""
    window, n = _peek(words, at), 1
    while window >> np.uint64(63):
        bits = n + 1
        n = int(np.int64(window >> np.uint64(64 - bits)))
        window <<= np.uint64(bits)
        at += bits
    return n, at + 1


@njit(inline="always")
def _put_level(out: np.ndarray, at: int, level: int) -> int:
    """Write sign and magnitude of a level that is not 0."""
    word, length = _omega(abs(level))
    return _put(out, at, word | (np.uint64(level < 0) << np.uint64(length)), length + 1)


@njit(cache=True)
def encode_sparse(scales: np.ndarray, levels: np.ndarray, bucket: int, out: np.ndarray) -> int:
    """Write each bucket's scale and its non-zeros, into words that are 0, and return the number of bits."""
    at = 0
    for j in range(scales.size):
        at = _put(out, at, np.uint64(scales[j : j + 1].view(np.uint32)[0]), SCALE_BITS)
        part = levels[j * bucket : (j + 1) * bucket]
        last = -1
        for i in range(part.size):
            if part[i] != 0:
                word, length = _omega(i - last)
                at = _put_level(out, _put(out, at, word, length), int(np.int64(part[i])))
                last = i
        if last < part.size - 1:
            word, length = _omega(part.size - last)
            at = _put(out, at, word, length)
    return at


@njit(cache=True)
def decode_sparse(words: np.ndarray, bucket: int, scales: np.ndarray, levels: np.ndarray) -> None:
    """Read what `encode_sparse` wrote, with one more word of zeros behind it."""
    at = 0
    levels[:] = 0
    for j in range(scales.size):
        scales[j : j + 1].view(np.uint32)[0] = np.uint32(_peek(words, at) >> np.uint64(64 - SCALE_BITS))
        at += SCALE_BITS
        part = levels[j * bucket : (j + 1) * bucket]
        i = -1
        while i < part.size - 1:
            gap, at = _get(words, at)
            i += gap
            if i < part.size:
                negative = _peek(words, at) >> np.uint64(63)
                level, at = _get(words, at + 1)
                part[i] = -level if negative else level


@njit(cache=True)
def encode_dense(scales: np.ndarray, levels: np.ndarray, bucket: int, out: np.ndarray) -> int:
    """Write each bucket's scale and all its levels, into words that are 0, and return the number of bits."""
    at = 0
    for j in range(scales.size):
        at = _put(out, at, np.uint64(scales[j : j + 1].view(np.uint32)[0]), SCALE_BITS)
        part = levels[j * bucket : (j + 1) * bucket]
        for i in range(part.size):
            level = int(np.int64(part[i]))
            word, length = _omega(abs(level) + 1)
            if level != 0:
                word = (word << np.uint64(1)) | np.uint64(level < 0)
                length += 1
            at = _put(out, at, word, length)
    return at


@njit(cache=True)
def decode_dense(words: np.ndarray, bucket: int, scales: np.ndarray, levels: np.ndarray) -> None:
    """Read what `encode_dense` wrote, with one more word of zeros behind it."""
    at = 0
    for j in range(scales.size):
        scales[j : j + 1].view(np.uint32)[0] = np.uint32(_peek(words, at) >> np.uint64(64 - SCALE_BITS))
        at += SCALE_BITS
        part = levels[j * bucket : (j + 1) * bucket]
        for i in range(part.size):
            level, at = _get(words, at)
            level -= 1
            if level != 0:
                negative = _peek(words, at) >> np.uint64(63)
                at += 1
                level = -level if negative else level
            part[i] = level
