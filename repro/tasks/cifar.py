"""CIFAR-10 classification."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.tasks.data.augment import crop_and_flip, epoch_draws
from repro.tasks.data.cifar10 import Cifar10Data
from repro.tasks.evaluation import add_sums, classification_sums, evaluation_mode, even_chunks, has_buffers
from repro.tasks.models.resnet import ResNet20
from repro.tasks.models.seeded import seeded
from repro.tasks.models.small import SmallNet
from repro.tasks.task import Batch, Task, TestSums

MEAN = torch.tensor((0.4914, 0.4822, 0.4465)).view(3, 1, 1)
STD = torch.tensor((0.2023, 0.1994, 0.2010)).view(3, 1, 1)
SCALE, SHIFT = 1 / (255 * STD), -MEAN / STD

MODELS: dict[str, type[nn.Module]] = {"resnet20": ResNet20, "small": SmallNet}


class Cifar10(Task):
    """Cross-entropy on CIFAR-10, training images randomly cropped (padding 4) and flipped.

    Args:
        data: the images.
        seed: decides every sample's augmentation, together with the epoch.
        model: `resnet20` or `small`.
        augment: whether training images are cropped and flipped.
        num_train, num_test: use only the first so many samples; for smoke tests.
    """

    def __init__(
        self,
        data: Cifar10Data,
        seed: int,
        model: str = "resnet20",
        augment: bool = True,
        num_train: int = 50_000,
        num_test: int = 10_000,
    ) -> None:
        for name, number, available in (
            ("num_train", num_train, len(data.train_images)),
            ("num_test", num_test, len(data.test_images)),
        ):
            if not 1 <= number <= available:
                raise UserError(f"task cifar10: {name} must be from 1 to {available}, not {number}")
        self.images = data.train_images[:num_train]
        self.labels: Tensor = data.train_labels[:num_train]
        self.test_images = data.test_images[:num_test]
        self.test_labels = data.test_labels[:num_test]
        self.num_samples = len(self.images)
        self.num_test_samples = len(self.test_images)
        self.model = model
        self.augment = augment
        self.draws = epoch_draws(seed, self.num_samples)

    def new_model(self, seed: int) -> nn.Module:
        return seeded(MODELS[self.model], seed)

    def batch(self, indices: Tensor, epoch: int) -> Batch:
        images = self.images[indices]
        if self.augment:
            tops, lefts, flips = self.draws(epoch)
            images = crop_and_flip(images, tops[indices], lefts[indices], flips[indices])
        return normalise(images), self.labels[indices]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs, labels = batch
        return F.cross_entropy(model(inputs), labels)

    def test_sums(self, model: nn.Module, start: int, stop: int) -> TestSums:
        with evaluation_mode(model):
            return add_sums(
                [
                    classification_sums(model, normalise(self.test_images[chunk]), self.test_labels[chunk])
                    for chunk in even_chunks(start, stop)
                ]
            )

    def normalisation_batches(self, model: nn.Module, start: int, stop: int) -> list[Tensor]:
        # Augmented as in epoch 0, since the statistics gathered in training are those of augmented images.
        if not has_buffers(model):
            return []
        return [self.batch(chunk, epoch=0)[0] for chunk in even_chunks(start, stop)]


def normalise(images: Tensor) -> Tensor:
    """Return uint8 images, shape (b, 3, s, s), as float32 with mean 0 and deviation 1 a channel."""
    return images.float().mul_(SCALE).add_(SHIFT)
