"""CIFAR-10 as the EASGD paper trains on it."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.tasks.cifar import Cifar10
from repro.tasks.data.augment import cut, epoch_draws
from repro.tasks.data.channels import Channels
from repro.tasks.data.cifar import CifarData
from repro.tasks.data.dropout import epoch_masks
from repro.tasks.models.seeded import seeded
from repro.tasks.models.seven_layer import SevenLayer
from repro.tasks.task import Batch

SIZE, BORDER = 28, 4
"""Pixels of what is cut out of an image, and how many more the image has."""


class EasgdCifar10(Cifar10):
    """Cross-entropy of the paper's 7-layer network with dropout, on random crops of 28 x 28 pixels, flipped or not.

    Colours are in [0, 1]. Tested on the middle 28 x 28 pixels, without dropout. Weight decay is the local optimiser's.

    Args:
        data: the images.
        seed: decides every sample's crop and dropout, together with the epoch.
        width: of the network, as a fraction of the paper's: 1, 1/2, 1/4 or 1/8.
        num_train, num_test: use only the first so many samples; for smoke tests.
    """

    name = "easgd-cifar10"
    channels = Channels((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def __init__(
        self, data: CifarData, seed: int, width: float = 1.0, num_train: int = 50_000, num_test: int = 10_000
    ) -> None:
        if width not in (1, 1 / 2, 1 / 4, 1 / 8):
            raise UserError(f"task {self.name}: width must be 1, 0.5, 0.25 or 0.125, not {width}")
        super().__init__(data, seed, num_train=num_train, num_test=num_test)
        self.width = width
        self.test_images = self.test_images[:, :, BORDER // 2 : -BORDER // 2, BORDER // 2 : -BORDER // 2]
        self.draws = epoch_draws(seed, self.num_samples, BORDER + 1)
        self.masks = epoch_masks(seed, self.num_samples, round(256 * width))

    def new_model(self, seed: int) -> nn.Module:
        return seeded(partial(SevenLayer, self.width), seed)

    def batch(self, indices: Tensor, epoch: int) -> Batch:
        tops, lefts, flips = self.draws(epoch)
        images = cut(self.images[indices], SIZE, tops[indices], lefts[indices], flips[indices])
        return self.channels.normalise(images), self.labels[indices], self.masks(indices, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs, labels, masks = batch
        return F.cross_entropy(model(inputs, masks), labels)
