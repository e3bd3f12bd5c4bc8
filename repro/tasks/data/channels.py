"""Scaling the colours of images."""

import torch
from torch import Tensor


class Channels:
    """Mean and deviation of a set's red, green and blue in 0..1.

    Attributes:
        mean, std: shape (3, 1, 1).
    """

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        self.mean, self.std = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
        self._scale, self._shift = 1 / (255 * self.std), -self.mean / self.std

    def normalise(self, images: Tensor) -> Tensor:
        """Return uint8 images, shape (b, 3, s, s), as float32 with mean 0 and deviation 1 a channel."""
        return images.float().mul_(self._scale).add_(self._shift)
