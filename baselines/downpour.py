"""DOWNPOUR, ADOWNPOUR and MVADOWNPOUR: accumulated gradients go to the centre, its parameters come back.

Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651), the baselines of
section 5 (algorithm 3 of the supplement, as remembered); after Dean et al., Large Scale Distributed Deep Networks,
NeurIPS 2012. The centre x~ and all x^i start at the same point, v^i = 0. Worker i, by its own clock t^i:

    if tau divides t^i:
        x~  <- x~ + v^i
        x^i <- x~,  v^i <- 0
    x^i <- x^i - eta g(x^i),  v^i <- v^i - eta g(x^i)
    t^i <- t^i + 1

ADOWNPOUR and MVADOWNPOUR have the same steps, and another model: an average z of the centre over its own clock t, which
counts the changes of x~,

    z <- (1 - a) z + a x~             a = 1/(t + 1), or a constant

The model is the centre, or z.

Differences from the paper:
- What is not sent yet at the end of a run stays with its worker; the paper does not say.
- z is kept beside the centre by whoever changes that, off the clock: in the paper it is the master's affair.
- Momentum is the local optimiser's, and 0 in the paper, which has it at the master (`mdownpour`). The direction, with
  weight decay, replaces g.

Difference from the authors' code (mpiT): it pushes after the gradient of a step that tau divides, so its first push is
of one gradient, and pulls at the same time, so what comes back may lack what was sent.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from baselines.parts.central import Central, PeriodicConfig
from baselines.parts.iterate_average import weight
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm

Average = Literal["none", "all", "moving"]


@dataclass(frozen=True)
class DownpourConfig(PeriodicConfig):
    """Options.

    Args:
        average: of the centre, which is the model: `all` of its values alike (ADOWNPOUR), `moving` (MVADOWNPOUR).
        rate: a, of the moving average; the paper's experiments have 0.001.
    """

    average: Average = "none"
    rate: float = 0.001

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.average not in get_args(Average):
            raise UserError(f"unknown average {self.average!r}; known: {', '.join(get_args(Average))}")
        if not 0 < self.rate <= 1:
            raise UserError(f"rate must be above 0 and at most 1, not {self.rate}")


class Downpour(Central):
    """Asynchronous SGD with a parameter server, every tau steps."""

    Config = DownpourConfig
    state = ("v",)

    def __init__(self, worker: Worker, comm: Comm, config: DownpourConfig) -> None:
        super().__init__(worker, comm, config)
        self.v = torch.zeros_like(worker.params)
        if config.average != "none":
            self.z = self.shared(worker.params)
            self.clock = comm.window(torch.zeros(1))  # t, of each holder

    def step(self) -> None:
        worker, eta = self.worker, self.worker.lr
        if worker.steps % self.config.period == 0:
            self.visit(self.push_and_pull)
            self.v.zero_()
        g = worker.direction()
        worker.params.add_(g, alpha=-eta)
        self.v.add_(g, alpha=-eta)

    def push_and_pull(self, holder: int, part: slice, centre: Tensor) -> None:
        """Add to a piece of the centre what this worker has learned, and go on from there."""
        if self.config.average != "none":
            self.take_into_average(holder, centre)
        centre.add_(self.v[part])
        self.worker.params[part].copy_(centre)

    def take_into_average(self, holder: int, centre: Tensor) -> None:
        """Bring z up to the centre's present value, before that changes."""
        with self.comm.off_the_clock(), self.clock.lock(holder), self.z.lock(holder):
            t = torch.empty(1)
            self.clock.get(holder, t)
            self.clock.flush(holder)
            a = weight(self.config.average, int(t), self.config.rate)
            self.z.modify(holder, lambda z: z[: len(centre)].lerp_(centre, a))
            self.clock.put(holder, t + 1)

    def model(self) -> Tensor:
        """Return the centre or its average, and on other ranks than 0 the worker's own parameters."""
        if self.comm.rank or self.config.average == "none":
            return super().model()
        return self.read(self.z)
