"""SGP and Overlap-SGP: stochastic gradient push on a directed, time-varying graph.

Assran, Loizou, Ballas, Rabbat, Stochastic Gradient Push for Distributed Deep Learning, ICML 2019 (arXiv 1811.10792),
algorithms 1 and 2. Node i holds the biased x_i and the push-sum weight w_i, which starts at 1; z_i = x_i / w_i is its
model. In iteration k, with P(k) column-stochastic:

    x_i+1/2 <- x_i - gamma grad F_i(z_i; xi)
    send p_ji x_i+1/2 and p_ji w_i to the out-neighbours j, receive from the in-neighbours
    x_i <- sum_j p_ij x_j+1/2,   w_i <- sum_j p_ij w_j,   z_i <- x_i / w_i

Overlap-SGP sends before the gradient, keeps p_ii of x_i and w_i, and adds a message tau - 1 iterations later, so that
it travels during tau gradients. The graph is the paper's exponential one: in iteration k node i sends to
i + 2^(k mod L), L = ceil(log2 n), or with m peers to the next m of these hops; all shares are 1/(m + 1). The model is
the mean of the x_i, since the w_i sum to n; with messages under way, the mean of the z_i.

Differences from the paper:
- Momentum and weight decay are the local optimiser's, at z_i; the direction replaces the gradient.
- Overlap-SGP adds a message exactly when it is due; the paper's also adds one that comes earlier. So the method does
  not depend on the network's speed, and its staleness is the most the paper allows.
- `warmup` is the paper's hybrid schedule: all-reduce or more peers in the first epochs.
"""

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.parts.directed import exponential_hops
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm, Pending


@dataclass(frozen=True)
class SGPConfig:
    """Options.

    Args:
        peers: m, out-neighbours in an iteration.
        overlap: tau, iterations a message may travel; 0 is SGP, which waits for it.
        warmup: `allreduce` or a number of peers for the first epochs; empty for none.
        warmup_epochs: epochs of it.
    """

    peers: int = 1
    overlap: int = 0
    warmup: str = ""
    warmup_epochs: float = 0.0

    def __post_init__(self) -> None:
        if self.peers < 1:
            raise UserError(f"peers must be at least 1, not {self.peers}")
        if self.overlap < 0:
            raise UserError(f"overlap must not be negative, and is {self.overlap}")
        if self.warmup not in ("", "allreduce") and not self.warmup.isdecimal():
            raise UserError(f"warmup must be allreduce or a number of peers, not {self.warmup!r}")


class SGP(Algorithm):
    """Push-sum averaging with the next of the exponential graph's out-neighbours in every step."""

    Config = SGPConfig
    state = ("x", "w", "messages")

    def __init__(self, worker: Worker, comm: Comm, config: SGPConfig) -> None:
        super().__init__(worker, comm, config)
        self.x, self.w = worker.params.clone(), torch.ones(1)  # worker.params are z
        self.under_way: deque[tuple[list[Pending], list[Tensor]]] = deque()

    def step(self) -> None:
        worker, gamma, tau, k = self.worker, self.worker.lr, self.config.overlap, self.worker.steps
        warming = worker.epoch < self.config.warmup_epochs
        if warming and self.config.warmup == "allreduce":
            self.x.add_(worker.direction(), alpha=-gamma)
            self.comm.allreduce_mean(self.x)
        else:
            peers = int(self.config.warmup) if warming else self.config.peers
            if tau:
                self.send(k, peers)
            self.x.add_(worker.direction(), alpha=-gamma)
            if not tau:
                self.send(k, peers)
            while len(self.under_way) > max(0, tau - 1) or (self.under_way and worker.steps == worker.num_steps):
                self.receive()
        torch.div(self.x, self.w, out=worker.params)

    def send(self, k: int, peers: int) -> None:
        """Send equal shares of (x, w) to the out-neighbours of iteration k, and keep one."""
        n, i = self.comm.size, self.comm.rank
        hops = exponential_hops(n, k, peers)
        share = torch.cat([self.x, self.w]).div_(len(hops) + 1)
        incoming = [torch.empty_like(share) for _ in hops]
        pending = [self.comm.irecv(message, (i - hop) % n) for message, hop in zip(incoming, hops, strict=True)]
        pending += [self.comm.isend(share, (i + hop) % n) for hop in hops]
        self.x.copy_(share[:-1])
        self.w.copy_(share[-1:])
        self.under_way.append((pending, incoming))

    def receive(self) -> None:
        """Add the oldest messages under way."""
        pending, incoming = self.under_way.popleft()
        for one in pending:
            one.wait()
        for message in incoming:
            self.x.add_(message[:-1])
            self.w.add_(message[-1:])

    @property
    def messages(self) -> list[list[Tensor]]:
        """What is under way to this node, oldest first."""
        for pending, _ in self.under_way:
            for one in pending:
                one.wait()
            pending.clear()
        return [incoming for _, incoming in self.under_way]

    @messages.setter
    def messages(self, messages: list[list[Tensor]]) -> None:
        self.under_way = deque(([], incoming) for incoming in messages)

    def model(self) -> Tensor:
        """Return the biased x_i, or z_i where part of x_i is under way."""
        return self.worker.params if self.under_way else self.x
