"""Round-robin ADMM, linearised: what the EASGD paper compares its stability with.

Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651), section 4,
equations (8) to (11), with lambda in units of rho. At clock t only worker i with t mod p = i - 1 is active:

    lambda^i <- lambda^i - (x^i - x~)
    x^i      <- (x^i - eta grad F(x^i) + eta rho (lambda^i + x~)) / (1 + eta rho)
    x~       <- 1/p sum_j (x^j - lambda^j)                the others' as they last were

On F(x) = x^2/2 it diverges for small eta and large rho, and may look convergent for ten thousand steps before. The
model is the centre.

Differences from the paper:
- x~ is brought up to date by what has changed of its own worker's x^j - lambda^j.
- Gradients are of mini-batches, and weight decay is a part of them; momentum is not part of the method.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.parts.round_robin import RoundRobin
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class ADMMConfig:
    """Options.

    Args:
        rho: the penalty.
    """

    rho: float = 1.0

    def __post_init__(self) -> None:
        if self.rho <= 0:
            raise UserError(f"rho must be above 0, not {self.rho}")


class ADMM(RoundRobin):
    """The alternating direction method of multipliers, one worker at a time."""

    Config = ADMMConfig
    state = ("centre", "lam", "counted")

    def __init__(self, worker: Worker, comm: Comm, config: ADMMConfig) -> None:
        super().__init__(worker, comm, config)
        self.lam = torch.zeros_like(worker.params)
        self.counted = self.centre.clone()  # this worker's x^j - lambda^j in the centre; all start at one point

    def turn(self, eta: float, g: Tensor) -> None:
        x, lam, rho = self.worker.params, self.lam, self.config.rho
        lam.sub_(x).add_(self.centre)
        x.add_(g, alpha=-eta).add_(lam + self.centre, alpha=eta * rho).div_(1 + eta * rho)
        now = x - lam
        self.centre.add_(now - self.counted, alpha=1 / self.worker.size)
        self.counted.copy_(now)
