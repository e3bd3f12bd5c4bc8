"""CIFAR-10 and CIFAR-100 classification."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.tasks.data.augment import crop_and_flip, epoch_draws
from repro.tasks.data.channels import Channels
from repro.tasks.data.cifar import CifarData
from repro.tasks.evaluation import add_sums, classification_sums, evaluation_mode, even_chunks, has_buffers
from repro.tasks.models.resnet import ResNet20, ResNet110
from repro.tasks.models.resnet18_cifar import ResNet18Cifar
from repro.tasks.models.resnet50_cifar import ResNet50Cifar
from repro.tasks.models.seeded import seeded
from repro.tasks.models.small import SmallNet
from repro.tasks.models.vgg import Vgg16
from repro.tasks.models.wide_resnet import WideResNet
from repro.tasks.task import Batch, Task, TestSums

MODELS: dict[str, Callable[[int], nn.Module]] = {
    "resnet20": ResNet20,
    "small": SmallNet,
    "resnet18": ResNet18Cifar,
    "resnet50cifar": ResNet50Cifar,
    "vgg16": Vgg16,
    "wrn28-10": WideResNet,
    "resnet110": ResNet110,
}
"""By name, what makes the model from the number of classes."""


class Cifar(Task):
    """Cross-entropy on a CIFAR set, training images randomly cropped (padding 4) and flipped.

    Args:
        data: the images.
        seed: decides every sample's augmentation, together with the epoch.
        model: a name of `MODELS`.
        augment: whether training images are cropped and flipped.
        num_train, num_test: use only the first so many samples; for smoke tests.
    """

    name: ClassVar[str]
    num_classes: ClassVar[int]
    channels: ClassVar[Channels]

    def __init__(
        self,
        data: CifarData,
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
                raise UserError(f"task {self.name}: {name} must be from 1 to {available}, not {number}")
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
        return seeded(partial(MODELS[self.model], self.num_classes), seed)

    def batch(self, indices: Tensor, epoch: int) -> Batch:
        images = self.images[indices]
        if self.augment:
            tops, lefts, flips = self.draws(epoch)
            images = crop_and_flip(images, tops[indices], lefts[indices], flips[indices])
        return self.channels.normalise(images), self.labels[indices]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs, labels = batch
        return F.cross_entropy(model(inputs), labels)

    def test_sums(self, model: nn.Module, start: int, stop: int) -> TestSums:
        normalise = self.channels.normalise
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


class Cifar10(Cifar):
    """CIFAR-10; colours scaled as in SwarmSGD's and MATCHA's code."""

    name = "cifar10"
    num_classes = 10
    channels = Channels((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


class Cifar100(Cifar):
    """CIFAR-100; colours scaled as in MATCHA's code."""

    name = "cifar100"
    num_classes = 100
    channels = Channels((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))


MEAN, STD, normalise = Cifar10.channels.mean, Cifar10.channels.std, Cifar10.channels.normalise
