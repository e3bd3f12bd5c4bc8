"""Two small problems: one whose gradients are a closed form, one with batch normalisation and autograd."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.tasks.models.seeded import seeded
from repro.tasks.quadratic import Quadratic
from repro.tasks.task import Batch, Task, TestSums

D = 120
QUADRATIC = Quadratic(num_features=D, num_samples=100)
"""120 parameters, so that each of n = 1, 2, 3, 4, 5, 8 workers has the same part of them in a ring all-reduce; 100
samples, which batches of n * 4 rarely divide."""


class Normalised(Task):
    """Four kinds of points, told apart by a network with batch normalisation."""

    num_test_samples = 0

    def __init__(self) -> None:
        random = torch.Generator().manual_seed(0)
        self.num_samples = 100
        self.labels: Tensor = torch.arange(100) % 4
        centres = 2 * torch.randn(4, 6, generator=random)
        self.inputs = centres[self.labels] + torch.randn(100, 6, generator=random)

    def new_model(self, seed: int) -> nn.Module:
        return seeded(lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4)), seed)

    def batch(self, indices: Tensor, epoch: int) -> Batch:
        return self.inputs[indices], self.labels[indices]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        inputs, labels = batch
        return F.cross_entropy(model(inputs), labels)

    def test_sums(self, model: nn.Module, start: int, stop: int) -> TestSums:
        return TestSums(0.0, None, 0)


NORMALISED = Normalised()
