"""Exact top-k: the k coordinates of a vector with the largest magnitudes, in one pass over most of it.

The vector is cut into blocks. The k-th largest of the blocks' maxima is a magnitude that at least k coordinates reach,
so that all of the top k do; only blocks whose maximum reaches it are looked at again, and among the coordinates there
that reach it, few more than k, the k-th largest is found digit by digit. Nothing is sampled: no order of the
coordinates makes the result wrong, and none makes it slower than passes over the whole vector.
"""

from functools import cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

BLOCK, BLOCKS_FOR_EACH = 64, 4
"""Coordinates of a block at most, and at least so many blocks for each coordinate that is kept: then few of the blocks
must be looked at again."""


def largest(x: Tensor, k: int) -> Tensor:
    """Return the indices of the k coordinates of x, float32, shape (d,), with the largest |x_j|: int64, shape (k,), in
    ascending order. Of equal magnitudes the lowest indices are taken; nan counts as the largest of all."""
    kernels, bits = _kernels(), x.numpy().view(np.int32)
    out = np.empty(k, np.int64)
    if k:
        block = min(BLOCK, max(1, bits.size // (BLOCKS_FOR_EACH * k)))
        maxima = np.empty(-(-bits.size // block), np.int32)
        kernels.block_maxima(bits, block, maxima)
        least, _ = kernels.kth_largest(maxima, k)
        room = block * int((maxima >= least).sum()) + 1
        indices, magnitudes = np.empty(room, np.int64), np.empty(room, np.int32)
        found = kernels.candidates(bits, block, maxima, least, indices, magnitudes)
        least, equal = kernels.kth_largest(magnitudes[:found], k)
        kernels.take(indices[:found], magnitudes[:found], least, equal, out)
    return torch.from_numpy(out)


@cache
def _kernels() -> ModuleType:
    from baselines.parts import topk_kernels  # numba takes a second to import

    return topk_kernels
