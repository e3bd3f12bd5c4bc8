"""A noisy quadratic whose optimum is known."""

import torch
from torch import Tensor, nn

from repro.draws import generator
from repro.errors import UserError
from repro.tasks.task import Batch, Task, TestSums


class Point(nn.Module):
    """A point x; starts at 0."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(num_features))


class Quadratic(Task):
    """f(x) = 1/2 (x - x*)^T A (x - x*); sample i adds <xi_i, x>, and the xi_i sum to zero.

    A is diagonal, its eigenvalues spread geometrically from 1/condition to 1; so the least f is 0, at x*. A, x* and
    the xi_i are always the same: every seed of a run solves the same problem. f is L-smooth and mu-PL, |grad f|^2 >=
    2 mu f, with L = 1 and mu = 1/condition, and a sample's gradient has the variance sigma^2 = noise^2 everywhere.

    Args:
        num_features: d.
        num_samples: N.
        condition: condition number of A, at least 1.
        noise: root mean square of |xi_i|.
        rank: of A, whose other eigenvalues are 0: below d, f is PL but not strongly convex; d where it is None.

    Attributes:
        eigenvalues: the diagonal of A, float64, shape (d,).
        optimum: x*, float64, shape (d,).
    """

    num_test_samples = 0
    batched = True

    def __init__(
        self,
        num_features: int = 20,
        num_samples: int = 1000,
        condition: float = 10.0,
        noise: float = 1.0,
        rank: int | None = None,
    ) -> None:
        rank = num_features if rank is None else rank
        if num_features < 1 or num_samples < 2 or condition < 1 or noise < 0:
            raise UserError("task quadratic needs num_features >= 1, num_samples >= 2, condition >= 1 and noise >= 0")
        if not 1 <= rank <= num_features:
            raise UserError(f"task quadratic needs 1 <= rank <= num_features, not rank {rank} of {num_features}")
        random = generator("quadratic", 0)
        self.num_samples = num_samples
        self.eigenvalues = torch.zeros(num_features, dtype=torch.float64)
        self.eigenvalues[-rank:] = condition ** torch.linspace(-1, 0, rank, dtype=torch.float64)
        self.optimum = torch.from_numpy(random.standard_normal(num_features))
        xi = random.standard_normal((num_samples, num_features))
        xi -= xi.mean(axis=0)
        xi *= noise / (xi**2).sum(axis=1).mean() ** 0.5
        self.xi = torch.from_numpy(xi).float()

    def new_model(self, seed: int) -> nn.Module:
        return Point(len(self.optimum))

    def batch(self, indices: Tensor, epoch: int) -> Batch:
        return self.xi[indices], indices

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        xi, _ = batch
        x = _point(model)
        return self._objective(x) + xi.mean(dim=0) @ x

    def loss_and_gradient(self, model: nn.Module, batch: Batch, gradient: Tensor) -> float:
        losses, gradients = self.losses_and_gradients(_point(model).detach()[None], (batch[0][None], batch[1][None]))
        gradient.copy_(gradients[0])
        return float(losses)

    def losses_and_gradients(self, params: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        xi = batch[0].mean(dim=1)
        moved = params - self.optimum.to(params)
        pull = self.eigenvalues.to(params) * moved
        return (pull * moved).sum(1) / 2 + (xi * params).sum(1), pull.add_(xi)

    def test_sums(self, model: nn.Module, start: int, stop: int) -> TestSums:
        return TestSums(0.0, None, 0)

    def train_objective(self, model: nn.Module) -> float:
        return float(self._objective(_point(model).detach().double()))

    def _objective(self, x: Tensor) -> Tensor:
        return (self.eigenvalues.to(x) * (x - self.optimum.to(x)) ** 2).sum() / 2


def _point(model: nn.Module) -> Tensor:
    return next(model.parameters())
