"""Random streams for compiled loops: a state of 64 bits in an array of length 1, so that every worker has its own.

The generator is SplitMix64 (Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014): a counter
that goes through a mixer.
"""

import numpy as np
from numba import njit

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def new_stream(rng: np.random.Generator) -> np.ndarray:
    """Return a stream that starts where `rng` says, uint64, shape (1,)."""
    return rng.integers(0, 2**64, size=1, dtype=np.uint64)


@njit(inline="always")
def mix(z: np.uint64) -> np.uint64:
    """Return 64 bits that look random and are a bijection of z."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(inline="always")
def unit(bits: np.uint64) -> float:
    """Return the number in [0, 1), a multiple of 2^-53, that the upper bits say."""
    return np.float64(np.int64(bits >> np.uint64(11))) * 2.0**-53


@njit(inline="always")
def draw(stream: np.ndarray) -> np.uint64:
    """Return the stream's next 64 bits."""
    stream[0] += GAMMA
    return mix(stream[0])


@njit(cache=True, nogil=True)
def below(stream: np.ndarray, n: int | np.int64) -> np.int64:
    """Return a whole number in [0, n), n < 2^32, all exactly equally likely.

    Source: Lemire, Fast Random Integer Generation in an Interval, 2019.
    """
    size, low_half = np.uint64(n), np.uint64(0xFFFFFFFF)
    product = (draw(stream) >> np.uint64(32)) * size
    if (product & low_half) < size:
        excess = (np.uint64(2**32) - size) % size
        while (product & low_half) < excess:
            product = (draw(stream) >> np.uint64(32)) * size
    return np.int64(product >> np.uint64(32))


@njit(cache=True, nogil=True)
def choose(stream: np.ndarray, k: int | np.int64, stamps: np.ndarray, out: np.ndarray) -> None:
    """Write k of the d coordinates into out[:k], all sets of k equally likely, in O(k).

    Source: Floyd, in Bentley, Programming Pearls: A sample of brilliance, 1987. `stamps`, int64, shape (d + 1,), starts
    as zeros: its last element counts the calls, the others say in which call a coordinate was taken last.
    """
    d = stamps.size - 1
    stamps[d] += 1
    now = stamps[d]
    for i in range(k):
        j = below(stream, d - k + i + 1)
        if stamps[j] == now:
            j = np.int64(d - k + i)
        stamps[j] = now
        out[i] = j
