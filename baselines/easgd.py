"""EASGD and EAMSGD: asynchronous elastic averaging, without and with momentum.

Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651), algorithms 1 and 2.
The centre x~ and all x^i start at the same point. Worker i, by its own clock t^i, which starts at 0:

    x <- x^i
    if tau divides t^i:
        x^i <- x^i - alpha (x - x~)
        x~  <- x~  + alpha (x - x~)
    x^i <- x^i - eta g(x)                          EASGD: the gradient is that before the elastic move
    v   <- delta v - eta g(x + delta v),           EAMSGD: Nesterov's momentum
    x^i <- x^i + v
    t^i <- t^i + 1

alpha = beta/p is the moving rate, eta rho in the paper's objective. Both moves of a worker use the same x~: it is read
and changed under its lock. The model is the centre.

Differences from the paper:
- delta is the local optimiser's momentum, in Nesterov's form whatever the optimiser's own; delta = 0 is EASGD.
- Weight decay is a part of g. The paper has an l2 term in the objective, which is the same.
- A worker also waits until what it adds to the centre is there; in the paper for what it reads alone.
- Every worker draws the whole data set in the paper: partition `whole`.

Differences from the authors' code (mpiT):
- There servers have no lock, and pieces of one centre may be of different times; here each piece is changed atomically.
- There the difference is sent in the background, and may reach the centre a period late.
- There only the first worker's start becomes the centre's, and equal seeds are up to the user.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from baselines.parts.central import Central, PeriodicConfig
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class EASGDConfig(PeriodicConfig):
    """Options; beta is the paper's, and so is tau = 10 where it compares numbers of workers.

    Args:
        beta: p alpha, the part of the way that the centre goes when all workers pull it once.
    """

    period: int = 10
    beta: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta < 0:
            raise UserError(f"beta must not be negative, and is {self.beta}")


class EASGD(Central):
    """Elastic averaging with the centre every tau steps, SGD in between."""

    Config = EASGDConfig
    state = ("v",)

    def __init__(self, worker: Worker, comm: Comm, config: EASGDConfig) -> None:
        super().__init__(worker, comm, config)
        from baselines.parts.elastic_kernel import elastic  # numba takes a second to import

        self.elastic, self.alpha = elastic, np.float32(config.beta / worker.size)
        self.v = torch.zeros_like(worker.params)
        self.pull = torch.empty_like(worker.params)  # alpha (x - x~)

    def step(self) -> None:
        worker, eta, delta, v = self.worker, self.worker.lr, self.worker.run.sgd.momentum, self.v
        meets = worker.steps % self.config.period == 0
        if meets:
            self.visit(self.move)
        x = worker.params
        x.add_(v.mul_(delta))  # x + delta v
        g = worker.regularised_gradient()
        x.add_(g, alpha=-eta)
        v.add_(g, alpha=-eta)
        if meets:
            x.sub_(self.pull)

    def move(self, holder: int, part: slice, centre: Tensor) -> None:
        """Pull a piece of the centre towards this worker's x, and note the pull."""
        x, pull = self.worker.params[part], self.pull[part]
        self.elastic(self.alpha, x.numpy(), centre.numpy(), pull.numpy())
