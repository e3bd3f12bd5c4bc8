"""Bits of one step as Mem-SGD's authors counted them for figure 3, and as they come to by the theory they cite."""

import math

from baselines.parts.sparsifiers import sparse_bits


def authors_sgd_bits(d: float) -> float:
    """Return 64 d: every coordinate as a value and an index of 32 bits each, even where all d are sent in order."""
    return sparse_bits(d)


def authors_qsgd_bits(bits: int, d: int, nonzeros: float) -> float:
    """Return the least of three: (b + 1) d in order; (b + 1 + 32) a non-zero with its index; and for the Elias code
    3 s (s + sqrt d) + 32 with s = 2^b, in which the logarithm of theorem 3.2 is missing."""
    s = 2**bits
    return min((bits + 1) * d, 3 * s * (s + math.sqrt(d)) + 32, (bits + 1 + 32) * nonzeros)


def elias_bound_bits(s: int, d: int) -> float:
    """Return QSGD's theorem 3.2 without its o(1): (3 + 3/2 log2(2 (s^2 + d) / (s (s + sqrt d)))) s (s + sqrt d) + 32.

    The theorem is for s^2 + sqrt d <= d/2.
    """
    size = s * (s + math.sqrt(d))
    return (3 + 1.5 * math.log2(2 * (s * s + d) / size)) * size + 32
