"""ImageNet classification."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.tasks.data.channels import Channels
from repro.tasks.data.imagenet import ImageNetData
from repro.tasks.data.loaders import Loaders
from repro.tasks.evaluation import add_sums, classification_sums, evaluation_mode, even_chunks, has_buffers
from repro.tasks.models.resnet_imagenet import ResNetImageNet, resnet18, resnet50
from repro.tasks.models.seeded import seeded
from repro.tasks.task import Batch, Task, TestSums

NUM_TRAIN, NUM_TEST = 1_281_167, 50_000

CHANNELS = Channels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

MODELS: dict[str, Callable[[bool], ResNetImageNet]] = {"resnet18": resnet18, "resnet50": resnet50}

CHUNK = 100
"""Images put through a model at once when no gradient is wanted: ResNet-50 needs a gigabyte for them."""

AHEAD = 8
"""Batches that may wait, decoded, for their use; many workers of one process would else fill its memory."""


class ImageNet(Task):
    """Cross-entropy on ImageNet, training images cut at random (see `decode.random_crop`) and mirrored.

    Args:
        data: where the images lie.
        seed: decides every sample's augmentation, together with the epoch.
        model: `resnet18` or `resnet50`.
        goyal_init: whether the model starts as in Goyal et al., see `ResNetImageNet`.
        augment: whether training images are cut at random; otherwise they are cut as test images are.
        num_train, num_test: use only so many samples, of all classes mixed; for smoke tests.
        loaders: processes that decode images, 0 for none; they make no difference to the run.
    """

    def __init__(
        self,
        data: ImageNetData,
        seed: int,
        model: str = "resnet50",
        goyal_init: bool = True,
        augment: bool = True,
        num_train: int = NUM_TRAIN,
        num_test: int = NUM_TEST,
        loaders: int = 4,
    ) -> None:
        for name, number, available in (
            ("num_train", num_train, len(data.train)),
            ("num_test", num_test, len(data.test)),
        ):
            if not 1 <= number <= available:
                raise UserError(f"task imagenet: {name} must be from 1 to {available}, not {number}")
        self.data = data
        self.seed = seed
        self.labels: Tensor = data.train.labels[:num_train]
        self.num_samples = num_train
        self.num_test_samples = num_test
        self.model = model
        self.goyal_init = goyal_init
        self.augment = augment
        self.loaders = Loaders(loaders)
        self._ahead: dict[tuple[int, bytes], Callable[[], np.ndarray]] = {}

    def new_model(self, seed: int) -> nn.Module:
        return seeded(partial(MODELS[self.model], self.goyal_init), seed)

    def batch(self, indices: Tensor, epoch: int) -> Batch:
        wait = self._ahead.pop(_key(indices, epoch), None) or self._start(indices, epoch)
        return _normalised(wait()), self.labels[indices]

    def prefetch(self, indices: Tensor, epoch: int) -> None:
        key = _key(indices, epoch)
        if key not in self._ahead and len(self._ahead) < AHEAD:
            self._ahead[key] = self._start(indices, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs, labels = batch
        return F.cross_entropy(model(inputs), labels)

    def test_sums(self, model: nn.Module, start: int, stop: int) -> TestSums:
        with evaluation_mode(model):
            return add_sums(
                [classification_sums(model, inputs, labels) for inputs, labels in self._test_batches(start, stop)]
            )

    def normalisation_batches(self, model: nn.Module, start: int, stop: int) -> list[Tensor]:
        # Augmented as in epoch 0, since the statistics gathered in training are those of augmented images.
        if not has_buffers(model):
            return []
        waits = [self._start(chunk, epoch=0) for chunk in _chunks(start, stop)]
        return [_normalised(wait()) for wait in waits]

    def _start(self, indices: Tensor, epoch: int) -> Callable[[], np.ndarray]:
        return self.loaders.start(self.data.train.requests(indices, (self.seed, epoch) if self.augment else None))

    def _test_batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the test samples start <= i < stop, the next batch being decoded while one is used."""
        chunks = _chunks(start, stop)
        waiting = None
        for position, chunk in enumerate(chunks):
            wait = waiting or self.loaders.start(self.data.test.requests(chunk, None))
            if position + 1 < len(chunks):
                waiting = self.loaders.start(self.data.test.requests(chunks[position + 1], None))
            yield _normalised(wait()), self.data.test.labels[chunk]


def _key(indices: Tensor, epoch: int) -> tuple[int, bytes]:
    return epoch, indices.numpy().tobytes()


def _normalised(images: np.ndarray) -> Tensor:
    return CHANNELS.normalise(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())


def _chunks(start: int, stop: int) -> list[Tensor]:
    """Return the indices start <= i < stop in chunks of nearly equal size, none above CHUNK."""
    return [part for chunk in even_chunks(start, stop) for part in chunk.tensor_split(-(-len(chunk) // CHUNK))]
