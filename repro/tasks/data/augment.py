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
    count, channels, size, _ = images.shape
    padded = F.pad(images, (PADDING,) * 4)
    steps = torch.arange(size)
    rows = tops[:, None] + steps
    columns = lefts[:, None] + torch.where(flips[:, None], size - 1 - steps, steps)
    # One flat gather: indexing unfolded windows of the images takes half as long again.
    places = rows[:, :, None] * padded.shape[-1] + columns[:, None, :]
    pixels = places.view(count, 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, pixels).view_as(images)


Draws = tuple[Tensor, Tensor, Tensor]


def epoch_draws(seed: int, num_samples: int) -> Callable[[int], Draws]:
    """Return a function of the epoch that gives tops, lefts and flips, each (num_samples,).

    The draws depend on (seed, epoch) and the sample alone: which worker takes it makes no difference.
    """

    @lru_cache(maxsize=8)  # workers of one process may be a few epochs apart
    def draws(epoch: int) -> Draws:
        random = generator("augmentation", seed, epoch)
        corners = torch.from_numpy(random.integers(0, 2 * PADDING + 1, size=(2, num_samples)))
        flips = torch.from_numpy(random.integers(0, 2, size=num_samples).astype(bool))
        return corners[0], corners[1], flips

    return draws
