"""AD-PSGD: asynchronous decentralised parallel SGD.

Lian, Zhang, Zhang, Liu, Asynchronous Decentralized Parallel Stochastic Gradient Descent, ICML 2018 (arXiv 1710.06952),
algorithm 1. Worker i, without a clock in common:

    x^_i     <- x_i                                      what the gradient is taken at
    g        <- grad F(x^_i; xi)
    x_i, x_j <- (x_i + x_j)/2, (x_i + x_j)/2             atomically, with a random neighbour j
    x_i      <- x_i - gamma g                            x_i may have changed since: the gradient is stale

As in the paper's implementation the graph is bipartite: active workers (odd ranks here) start an averaging, passive
ones (even ranks) are only averaged with, so that nobody waits in a circle. The model is the mean of all x_i.

Differences from the paper:
- The paper's workers have a thread of their own for communication. Here x_i lies in a window, and an active worker
  averages it with x_j under both their locks, the lower rank's first, while j computes.
- Momentum and weight decay are the local optimiser's, at x^_i; the direction replaces the gradient.
- Edges between two ranks of one role are left out: an averaging takes one of each.
- The paper assumes a bound on the staleness. Here it is measured: how often others have averaged x_i between its
  reading and the application of its gradient.
"""

from dataclasses import dataclass

import networkx as nx
import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.parts.topology import topology
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm


@dataclass(frozen=True)
class ADPSGDConfig:
    """Options; the defaults are the paper's.

    Args:
        topology: the graph whose edges between an odd and an even rank are used.
    """

    topology: str = "ring"


class ADPSGD(Algorithm):
    """Averaging with a random neighbour, and gradients applied to what that has made of the model meanwhile."""

    Config = ADPSGDConfig
    state = ("stale",)
    asynchronous = True

    def __init__(self, worker: Worker, comm: Comm, config: ADPSGDConfig) -> None:
        super().__init__(worker, comm, config)
        self.active = comm.rank % 2 == 1
        self.neighbours = sorted(bipartite(config.topology, comm.size)[comm.rank])
        # x_i, and behind it the number of times that others have averaged it
        self.X = comm.window(torch.cat([worker.params, worker.params.new_zeros(1)]))
        self.x_j = torch.empty_like(self.X.local)
        self.stale = torch.zeros(2, dtype=torch.float64)  # sum and maximum of the staleness

    def step(self) -> None:
        i, worker, gamma = self.comm.rank, self.worker, self.worker.lr
        with self.X.lock(i):
            worker.params.copy_(self.X.local[:-1])
            read = self.X.local[-1].item()
        g = worker.direction()
        if self.active:
            j = self.neighbours[worker.rng.integers(len(self.neighbours))]
            with self.X.lock(min(i, j)), self.X.lock(max(i, j)):
                self.average(j)
                self.apply(g, gamma, read)
        else:
            with self.X.lock(i):
                self.apply(g, gamma, read)

    def average(self, j: int) -> None:
        """Replace x_i and x_j by their mean; both locks are held."""
        self.X.get(j, self.x_j)
        self.X.flush(j)
        x_i, x_j = self.X.local[:-1], self.x_j[:-1]
        x_i.lerp_(x_j, 0.5)
        x_j.copy_(x_i)
        self.x_j[-1] += 1
        self.X.put(j, self.x_j)

    def apply(self, g: Tensor, gamma: float, read: float) -> None:
        """Apply the gradient to x_i as it is now; its lock is held."""
        self.X.local[:-1].add_(g, alpha=-gamma)
        self.worker.params.copy_(self.X.local[:-1])
        staleness = self.X.local[-1].item() - read
        self.stale[0] += staleness
        self.stale[1] = max(self.stale[1].item(), staleness)

    def model(self) -> Tensor:
        """Return x_i."""
        with self.X.lock(self.comm.rank, shared=True):
            return self.X.local[:-1].clone()

    def measures(self) -> dict[str, float]:
        """Return the mean and the largest staleness of this worker's gradients."""
        return {"staleness_mean": self.stale[0].item() / self.worker.steps, "staleness_max": self.stale[1].item()}


def bipartite(spec: str, size: int) -> nx.Graph:
    """Return the graph's edges between odd and even ranks.

    Raises:
        UserError: they do not connect all workers.
    """
    graph = nx.Graph(topology(spec, size))
    graph.remove_edges_from([(i, j) for i, j in graph.edges if (i - j) % 2 == 0])
    if not nx.is_connected(graph):
        raise UserError(f"topology {spec!r} on {size} workers is not connected by its edges of an odd and an even rank")
    return graph
