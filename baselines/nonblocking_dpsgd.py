"""Non-blocking SGD on a fixed graph, as in D-PSGD.

He, Dube, Accelerating Parallel Stochastic Gradient Descent via Non-blocking Mini-batches, 2022 (arXiv 2211.00889); see
`nonblocking` for the rounds, and for what is decided here rather than in the paper:

    x_i <- sum_j W_ij x_j - eta G_i / k_i             (the exchange of x runs while the mini-batches do)
"""

from dataclasses import dataclass

from baselines.nonblocking import Nonblocking, NonblockingConfig
from baselines.parts.mixing import metropolis_weights
from baselines.parts.topology import topology
from repro.worker import Worker
from repro.worlds.comm import Comm, Exchange


@dataclass(frozen=True)
class NonblockingDPSGDConfig(NonblockingConfig):
    """Options of all forms, and D-PSGD's graph."""

    topology: str = "ring"


class NonblockingDPSGD(Nonblocking):
    """Every worker averages with its neighbours in the graph in every round."""

    Config = NonblockingDPSGDConfig
    exchange: Exchange

    def __init__(self, worker: Worker, comm: Comm, config: NonblockingDPSGDConfig) -> None:
        graph = topology(config.topology, comm.size)
        super().__init__(worker, comm, config, sorted(graph[comm.rank]))
        W = metropolis_weights(graph)
        self.weights = [float(W[comm.rank, j]) for j in (comm.rank, *self.neighbours)]

    def begin(self) -> None:
        self.exchange = self.comm.exchange(self.worker.params, self.neighbours)

    def average(self) -> None:
        x = self.worker.params
        self.sums.give(self.k)
        g = self.worker.optimizer.direction(x, self.mean())
        self.exchange.mix(self.weights)
        x.add_(g, alpha=-self.lr)
