"""Random generators that depend only on what they are for, the seed and a few numbers."""

import zlib

import numpy as np


def generator(purpose: str, seed: int, *numbers: int) -> np.random.Generator:
    """Return a generator that depends on its arguments alone; different purposes are independent.

    Args:
        purpose: what is drawn, e.g. `order`.
        seed: the run's seed, at least 0.
        numbers: further coordinates of the draw, such as the epoch, each at least 0.
    """
    return np.random.default_rng((zlib.crc32(purpose.encode()), seed, *numbers))
