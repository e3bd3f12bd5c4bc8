"""Sparsifiers: compression operators that keep k of a vector's d coordinates and set all others to 0.

All are k-contractions,

    E||x - comp(x)||^2 <= (1 - k/d) ||x||^2,

and biased: what is kept is not scaled up by d/k. Source: Stich, Cordonnier, Jaggi, Sparsified SGD with Memory, NeurIPS
2018 (arXiv 1809.07599), section 2.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from baselines.parts.topk import largest

VALUE_BITS = INDEX_BITS = 32


@dataclass(frozen=True, eq=False)
class Sparse:
    """A vector of which all coordinates but some are 0.

    Attributes:
        indices: of these, each once, int64, shape (k,).
        values: theirs, shape (k,).
    """

    indices: Tensor
    values: Tensor

    def dense(self, d: int) -> Tensor:
        """Return the vector, shape (d,)."""
        return self.values.new_zeros(d).index_copy_(0, self.indices, self.values)


def top_k(x: Tensor, k: int) -> Sparse:
    """Return the k coordinates of x, float32, shape (d,), with the largest |x_j|, the lowest indices first; of equal
    ones those with the lowest indices."""
    return _keep(x, largest(x, k))


def rand_k(x: Tensor, k: int, rng: np.random.Generator) -> Sparse:
    """Return k coordinates of x, shape (d,), chosen uniformly without replacement."""
    return _keep(x, torch.from_numpy(rng.choice(x.numel(), k, replace=False, shuffle=False)))


def ultra_sparse(x: Tensor, k: float, rng: np.random.Generator) -> Sparse:
    """Return one uniformly chosen coordinate of x, shape (d,), with probability k < 1, and else none.

    Source: remark 2.3 of the paper.
    """
    return rand_k(x, int(rng.random() < k), rng)


def sparse_bits(k: float) -> float:
    """Return the bits of k coordinates as the paper counts them, 32 for a value and 32 for its index."""
    return (VALUE_BITS + INDEX_BITS) * k


def tight_sparse_bits(k: float, d: int) -> float:
    """Return the bits of k coordinates of d whose indices take no more than they have to, ceil(log2 d) each."""
    return (VALUE_BITS + (d - 1).bit_length()) * k


def _keep(x: Tensor, indices: Tensor) -> Sparse:
    return Sparse(indices, x[indices])
