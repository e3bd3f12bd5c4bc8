"""Handwritten digits: the 1797 8x8 images that ship inside scikit-learn."""

from importlib.metadata import distribution

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.draws import generator
from repro.tasks.evaluation import add_sums, classification_sums, evaluation_mode, even_chunks, has_buffers
from repro.tasks.models.seeded import seeded
from repro.tasks.task import Batch, Task, TestSums

NUM_TRAIN = 1437


class DigitsNet(nn.Module):
    """Two convolutions with batch normalisation and a linear head: 9,978 parameters.

    Input (b, 1, 8, 8), output (b, 10).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.head = nn.Linear(32 * 4 * 4, 10)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(out)))
        return self.head(out.flatten(1))


class Digits(Task):
    """Cross-entropy on the digits: 1437 images to train on and 360 to test on, split once and for all."""

    def __init__(self) -> None:
        # by the path: to import scikit-learn would cost each rank two seconds
        path = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
        table = np.loadtxt(str(path), delimiter=",")
        images, targets = table[:, :-1], table[:, -1]
        order = generator("digits split", 0).permutation(len(images))
        inputs = torch.from_numpy(images[order]).float().div_(16).view(-1, 1, 8, 8)
        labels = torch.from_numpy(targets[order]).long()
        self.inputs, self.test_inputs = inputs[:NUM_TRAIN], inputs[NUM_TRAIN:]
        self.labels: Tensor = labels[:NUM_TRAIN]
        self.test_labels = labels[NUM_TRAIN:]
        self.num_samples = NUM_TRAIN
        self.num_test_samples = len(self.test_inputs)

    def new_model(self, seed: int) -> nn.Module:
        return seeded(DigitsNet, seed)

    def batch(self, indices: Tensor, epoch: int) -> Batch:
        return self.inputs[indices], self.labels[indices]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs, labels = batch
        return F.cross_entropy(model(inputs), labels)

    def test_sums(self, model: nn.Module, start: int, stop: int) -> TestSums:
        with evaluation_mode(model):
            return add_sums(
                [
                    classification_sums(model, self.test_inputs[chunk], self.test_labels[chunk])
                    for chunk in even_chunks(start, stop)
                ]
            )

    def normalisation_batches(self, model: nn.Module, start: int, stop: int) -> list[Tensor]:
        if not has_buffers(model):
            return []
        return [self.inputs[chunk] for chunk in even_chunks(start, stop)]
