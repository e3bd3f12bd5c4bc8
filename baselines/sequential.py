"""SGD, MSGD, ASGD and MVASGD on one worker: the sequential baselines of the EASGD paper.

Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651), section 5:

    v <- delta v - eta g(x + delta v),  x <- x + v            MSGD: Nesterov's momentum, SGD for delta = 0
    z <- (1 - a) z + a x                                      ASGD: a = 1/(t + 1); MVASGD: a constant

The model is x, or z, which no gradient is taken at.

Difference from the paper: delta is the local optimiser's momentum, in Nesterov's form whatever the optimiser's own;
weight decay is a part of g.
"""

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.downpour import Average
from baselines.parts.iterate_average import weight
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class SequentialConfig:
    """Options.

    Args:
        average: of the iterates, which is the model: `all` of them alike (ASGD), `moving` (MVASGD).
        rate: a, of the moving average; the paper's experiments have 0.001.
    """

    average: Average = "none"
    rate: float = 0.001

    def __post_init__(self) -> None:
        if self.average not in get_args(Average):
            raise UserError(f"unknown average {self.average!r}; known: {', '.join(get_args(Average))}")
        if not 0 < self.rate <= 1:
            raise UserError(f"rate must be above 0 and at most 1, not {self.rate}")


class Sequential(Algorithm):
    """SGD on one worker, with averaged iterates or without."""

    Config = SequentialConfig
    state = ("v", "z")

    def __init__(self, worker: Worker, comm: Comm, config: SequentialConfig) -> None:
        super().__init__(worker, comm, config)
        if comm.size != 1:
            raise UserError(f"sequential SGD is for one worker, not {comm.size}")
        self.v, self.z = torch.zeros_like(worker.params), worker.params.clone()

    def step(self) -> None:
        worker, eta, v, x = self.worker, self.worker.lr, self.v, self.worker.params
        if self.config.average != "none":
            self.z.lerp_(x, weight(self.config.average, worker.steps, self.config.rate))
        x.add_(v.mul_(worker.run.sgd.momentum))
        g = worker.regularised_gradient()
        x.add_(g, alpha=-eta)
        v.add_(g, alpha=-eta)

    def model(self) -> Tensor:
        """Return x, or z where iterates are averaged."""
        return self.worker.params if self.config.average == "none" else self.z
