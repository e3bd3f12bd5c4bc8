"""A task whose gradients a check knows in advance, and which take as long as the check says."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from repro.tasks.quadratic import Quadratic
from repro.tasks.task import Batch


class Told(Quadratic):
    """Gradients of standard normal numbers, drawn from `random`; the task of one worker.

    Attributes:
        meanwhile: called in every gradient, and returns when it is to end.
        total: the sum of all gradients so far, float64, shape (d,).
    """

    def __init__(self, num_features: int, num_samples: int, random: torch.Generator) -> None:
        super().__init__(num_features, num_samples)
        self.random = random
        self.meanwhile: Callable[[], object] = lambda: None
        self.total = torch.zeros(num_features, dtype=torch.float64)

    def loss_and_gradient(self, model: nn.Module, batch: Batch, gradient: Tensor) -> float:
        self.meanwhile()
        gradient.normal_(generator=self.random)
        self.total += gradient
        return 0.0
