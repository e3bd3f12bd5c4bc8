"""SGP: stochastic gradient push on a directed, time-varying graph.

Assran, Loizou, Ballas, Rabbat, Stochastic Gradient Push for Distributed Deep Learning, ICML 2019 (arXiv 1811.10792),
algorithm 1. Node i holds the biased x_i and the push-sum weight w_i, which starts at 1; z_i = x_i / w_i is its model.
In iteration k, with P(k) column-stochastic:

    x_i+1/2 <- x_i - gamma grad F_i(z_i; xi)
    send p_ji x_i+1/2 and p_ji w_i to the out-neighbours j, receive from the in-neighbours
    x_i <- sum_j p_ij x_j+1/2,   w_i <- sum_j p_ij w_j,   z_i <- x_i / w_i

The graph is the paper's one-peer exponential graph: in iteration k node i sends to i + 2^(k mod ceil(log2 n)) and keeps
half. The model is the mean of the x_i, since the w_i sum to n.

Differences from the paper:
- Momentum and weight decay are the local optimiser's, at z_i; the direction replaces the gradient.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class SGPConfig:
    """No options yet."""


class SGP(Algorithm):
    """Push-sum averaging with one out-neighbour a step."""

    Config = SGPConfig
    state = ("x", "w")

    def __init__(self, worker: Worker, comm: Comm, config: SGPConfig) -> None:
        super().__init__(worker, comm, config)
        self.x, self.w = worker.params.clone(), torch.ones(1)  # worker.params are z
        self.out, self.incoming = (torch.empty(len(self.x) + 1) for _ in range(2))

    def step(self) -> None:
        worker, gamma = self.worker, self.worker.lr
        self.x.add_(worker.direction(), alpha=-gamma)
        self.push(2 ** ((worker.steps - 1) % max(1, (self.comm.size - 1).bit_length())))
        torch.div(self.x, self.w, out=worker.params)

    def push(self, hop: int) -> None:
        """Send half of (x, w) to the node `hop` after this one, and add what comes from the node `hop` before."""
        n, i = self.comm.size, self.comm.rank
        if n == 1:
            return
        torch.cat([self.x, self.w], out=self.out).mul_(0.5)
        received = self.comm.irecv(self.incoming, (i - hop) % n)
        sent = self.comm.isend(self.out, (i + hop) % n)
        received.wait()
        sent.wait()
        torch.add(self.out[:-1], self.incoming[:-1], out=self.x)
        torch.add(self.out[-1:], self.incoming[-1:], out=self.w)

    def model(self) -> Tensor:
        """Return the biased x_i."""
        return self.x
