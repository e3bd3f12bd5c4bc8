"""D-PSGD: decentralised parallel SGD on a fixed graph.

Lian et al., Can Decentralized Algorithms Outperform Centralized Algorithms?, NeurIPS 2017 (arXiv 1705.09056),
algorithm 1. With W symmetric and doubly stochastic, worker i in iteration k:

    3   g_i     <- grad F_i(x_k,i; xi_k,i)
    4   x_k+1/2,i <- sum_j W_ij x_k,j            (may run at the same time as line 3)
    5   x_k+1,i <- x_k+1/2,i - gamma g_i

The model is the mean of all x_i.

Differences from the paper:
- Momentum and weight decay, which the paper's experiments need and its analysis leaves out, are the local optimiser's:
  the direction replaces g_i in line 5.
- W is Metropolis's matrix of the graph: on the paper's ring the paper's 1/3, elsewhere this suite's choice.
- `order = "adapt-then-combine"` averages after the step, x <- W (x - gamma g), without overlap. So does the D-PSGD in
  the released code of the SGP paper.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from baselines.algorithm import Algorithm
from baselines.parts.mixing import metropolis_weights
from baselines.parts.topology import topology
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm

Order = Literal["combine-then-adapt", "adapt-then-combine"]


@dataclass(frozen=True)
class DPSGDConfig:
    """Options; the defaults are the paper's."""

    topology: str = "ring"
    order: Order = "combine-then-adapt"

    def __post_init__(self) -> None:
        if self.order not in get_args(Order):
            raise UserError(f"unknown order {self.order!r}; known: {', '.join(get_args(Order))}")


class DPSGD(Algorithm):
    """Every worker averages with its neighbours in the graph in every step."""

    Config = DPSGDConfig

    def __init__(self, worker: Worker, comm: Comm, config: DPSGDConfig) -> None:
        super().__init__(worker, comm, config)
        graph = topology(config.topology, comm.size)
        self.neighbours = sorted(graph[comm.rank])
        W = metropolis_weights(graph)
        self.weights = [float(W[comm.rank, j]) for j in (comm.rank, *self.neighbours)]

    def step(self) -> None:
        x, gamma = self.worker.params, self.worker.lr
        if self.config.order == "adapt-then-combine":
            x.add_(self.worker.direction(), alpha=-gamma)
            self.comm.exchange(x, self.neighbours).mix(self.weights)
        else:
            exchange = self.comm.exchange(x, self.neighbours)  # line 4 starts
            g = self.worker.direction()  # line 3
            exchange.mix(self.weights)  # line 4 ends
            x.add_(g, alpha=-gamma)  # line 5
