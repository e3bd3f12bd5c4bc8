"""Dropout masks that belong to the sample, as its crop does: which worker draws it makes no difference."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from repro.draws import generator
from repro.tasks.data.augment import KEPT


def epoch_masks(seed: int, num_samples: int, units: int) -> Callable[[Tensor, int], Tensor]:
    """Return a function of samples (int64, shape (b,)) and the epoch that gives their masks, float32, shape (b, units).

    Each unit is kept with probability 1/2, independently, and then counts 2, so that the mean is as without dropout.

    Args:
        units: a multiple of 8.
    """

    @lru_cache(maxsize=KEPT)
    def bits(epoch: int) -> np.ndarray:
        return generator("dropout", seed, epoch).integers(0, 256, size=(num_samples, units // 8), dtype=np.uint8)

    def masks(indices: Tensor, epoch: int) -> Tensor:
        return torch.from_numpy(np.unpackbits(bits(epoch)[indices.numpy()], axis=1)).float().mul_(2)

    return masks
