"""Random crop and flip of whole batches of images."""

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.draws import generator

PADDING = 4


def crop_and_flip(images: Tensor, tops: Tensor, lefts: Tensor, flips: Tensor) -> Tensor:
    """Return each image padded with PADDING zeros, cropped at (top, left), then mirrored or not.

    Args:
        images: uint8, shape (b, c, s, s).
        tops, lefts: int64 in 0..2*PADDING, shape (b,).
        flips: bool, shape (b,).
    """
    return cut(F.pad(images, (PADDING,) * 4), images.shape[-1], tops, lefts, flips)


def cut(padded: Tensor, size: int, tops: Tensor, lefts: Tensor, flips: Tensor) -> Tensor:
    """Return squares of images, shape (b, c, size, size), each from its own (top, left) on, mirrored or not.

    Args:
        padded: shape (b, c, s, s), s >= size.
        tops, lefts: int64 in 0..s-size, shape (b,).
        flips: bool, shape (b,).
    """
    count, channels = padded.shape[:2]
    steps = torch.arange(size)
    rows = tops[:, None] + steps
    columns = lefts[:, None] + torch.where(flips[:, None], size - 1 - steps, steps)
    # One flat gather: indexing unfolded windows of the images takes half as long again.
    places = rows[:, :, None] * padded.shape[-1] + columns[:, None, :]
    pixels = places.view(count, 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, pixels).view(count, channels, size, size)


Draws = tuple[Tensor, Tensor, Tensor]


KEPT = 32
"""Epochs whose draws are kept: workers of one process may be a few apart, or have variations of their own."""


def epoch_draws(seed: int, num_samples: int, positions: int = 2 * PADDING + 1) -> Callable[[int], Draws]:
    """Return a function of the epoch that gives tops, lefts and flips, each (num_samples,).

    The draws depend on (seed, epoch) and the sample alone: which worker takes it makes no difference.

    Args:
        positions: of a crop, in each direction.
    """

    @lru_cache(maxsize=KEPT)
    def draws(epoch: int) -> Draws:
        random = generator("augmentation", seed, epoch)
        corners = torch.from_numpy(random.integers(0, positions, size=(2, num_samples)))
        flips = torch.from_numpy(random.integers(0, 2, size=num_samples).astype(bool))
        return corners[0], corners[1], flips

    return draws
