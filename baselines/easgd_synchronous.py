"""Synchronous EASGD and EAMSGD: all workers and the centre move at once.

Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651), equations (3) to
(6). All right-hand sides are of time t:

    x^i <- x^i - eta g^i(x^i) - alpha (x^i - x~)
    x~  <- (1 - beta) x~ + beta 1/p sum_i x^i              beta = p alpha

With momentum delta the gradient step is algorithm 2's: v <- delta v - eta g(x^i + delta v), x^i <- x^i + v - ... The
model is the centre.

Differences from the paper:
- Every worker keeps the centre, the same everywhere; an all-reduce, which overlaps with the gradient, brings the mean.
- Between times that tau divides nothing is exchanged; the paper's equations have tau = 1.
- delta is the local optimiser's momentum and weight decay a part of g, see `easgd`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class EASGDSynchronousConfig:
    """Options.

    Args:
        beta: p alpha, the part of the way to the workers' mean that the centre goes at a time.
        period: tau, steps from one time to the next.
    """

    beta: float = 0.9
    period: int = 1

    def __post_init__(self) -> None:
        if self.beta < 0:
            raise UserError(f"beta must not be negative, and is {self.beta}")
        if self.period < 1:
            raise UserError(f"period must be at least 1, not {self.period}")


class EASGDSynchronous(Algorithm):
    """Elastic averaging in lockstep."""

    Config = EASGDSynchronousConfig
    allreduces = True
    the_model = "centre"
    state = ("v", "centre")

    def __init__(self, worker: Worker, comm: Comm, config: EASGDSynchronousConfig) -> None:
        super().__init__(worker, comm, config)
        self.v = torch.zeros_like(worker.params)
        self.centre = worker.params.clone()
        comm.broadcast(self.centre, 0)
        self.mean, self.pull = torch.empty_like(worker.params), torch.empty_like(worker.params)

    def step(self) -> None:
        worker, eta, delta, v = self.worker, self.worker.lr, self.worker.run.sgd.momentum, self.v
        x, beta = worker.params, self.config.beta
        meets = worker.steps % self.config.period == 0
        if meets:
            mean = self.comm.iallreduce_mean(self.mean.copy_(x))
            torch.sub(x, self.centre, out=self.pull).mul_(beta / worker.size)
        x.add_(v.mul_(delta))
        g = worker.regularised_gradient()
        x.add_(g, alpha=-eta)
        v.add_(g, alpha=-eta)
        if meets:
            mean.wait()
            x.sub_(self.pull)
            self.centre.lerp_(self.mean, beta)

    def model(self) -> Tensor:
        """Return the centre."""
        return self.centre
