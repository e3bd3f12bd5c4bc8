"""l2-regularised logistic regression."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.tasks.task import Batch, Task, TestSums

LANES = 64
"""A multiple of the float32 numbers that torch's kernels take at a time on any processor."""


class LinearModel(nn.Module):
    """x -> <a, x> for features a; starts at x = 0."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_features))

    def forward(self, features: Tensor) -> Tensor:
        return features @ self.weight


class Logistic(Task):
    """f(x) = 1/N sum_i log(1 + exp(-b_i <a_i, x>)) + lambda/2 |x|^2.

    Args:
        features: the a_i, float32, shape (N, d).
        targets: the b_i, -1 or +1, float32, shape (N,).
        regularisation: lambda; 1/N where it is None.
    """

    num_test_samples = 0
    batched = True

    def __init__(self, features: Tensor, targets: Tensor, regularisation: float | None = None) -> None:
        self.features, self.targets = features, targets
        self.labels: Tensor = (targets > 0).long()
        self.num_samples = len(features)
        self.regularisation = 1 / len(features) if regularisation is None else regularisation

    def new_model(self, seed: int) -> nn.Module:
        return LinearModel(self.features.shape[1])

    def batch(self, indices: Tensor, epoch: int) -> Batch:
        return self.features[indices], self.targets[indices]

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        features, targets = batch
        return self._objective(_weight(model), targets * model(features))

    def loss_and_gradient(self, model: nn.Module, batch: Batch, gradient: Tensor) -> float:
        losses, gradients = self.losses_and_gradients(_weight(model).detach()[None], (batch[0][None], batch[1][None]))
        gradient.copy_(gradients[0])
        return float(losses)

    def losses_and_gradients(self, params: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        # Sums of products: matrix products would give other bits for other numbers of workers, and are not faster.
        features, targets = batch
        size = targets.shape[1]
        margins = targets * (features * params[:, None]).sum(2)
        # Elements left over by the vector unit go through other code, so every row is filled up to a whole vector.
        filled = F.pad(-margins, (0, -size % LANES))
        slopes = -targets * torch.sigmoid(filled)[:, :size] / size
        gradients = (features * slopes[:, :, None]).sum(1).add_(params, alpha=self.regularisation)
        losses = F.softplus(filled)[:, :size].mean(1) + self.regularisation / 2 * params.square().sum(1)
        return losses, gradients

    def test_sums(self, model: nn.Module, start: int, stop: int) -> TestSums:
        return TestSums(0.0, None, 0)

    def train_objective(self, model: nn.Module) -> float:
        # The sum in float64: near the optimum f - f* is far below float32's resolution of f.
        x = _weight(model).detach()
        margins = self.targets * (self.features @ x)
        return float(self._objective(x.double(), margins.double()))

    def _objective(self, x: Tensor, margins: Tensor) -> Tensor:
        return F.softplus(-margins).mean() + self.regularisation / 2 * x.dot(x)


def _weight(model: nn.Module) -> Tensor:
    return next(model.parameters())
