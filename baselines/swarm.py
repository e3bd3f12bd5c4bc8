"""SwarmSGD, blocking: local steps, then averaging with one random partner.

Nadiradze, Sabour, Davies, Li, Alistarh, Asynchronous Decentralized SGD with Quantized and Local Updates, NeurIPS 2021
(arXiv 1910.12308); the blocking form is the main algorithm of its versions 2 and 3. An interaction of i and j:

    i and j each take H_i, H_j local SGD steps from X_i, X_j
    X_i, X_j <- (X_i + X_j)/2, (X_i + X_j)/2

The model is the mean of all X_i.

Differences from the paper:
- Who meets whom: in the paper whoever has finished its local steps contacts a uniformly random neighbour. A partner
  that blocks has to know that it is called, so here the workers draw, each for itself and all the same, a random
  maximal matching of the graph for every round (perfect on a complete graph of even size). Each pair waits for itself
  alone; there is no global round. A node left over takes its local steps and meets no one. `swarm_nonblocking` has
  the paper's own choice of partners.
- H is constant, as in the paper's experiments, or geometric with mean H for each node and interaction, as in its
  analysis.
- Momentum and weight decay are local and not averaged (the paper does not say).
- A meeting that one of the two would reach only after the end of its run does not take place; nor does one with a
  worker that has died, where the run goes on without it.
"""

from dataclasses import dataclass

import numpy as np

from baselines.algorithm import Algorithm
from baselines.parts.local_steps import Distribution, check_local_steps
from baselines.parts.matching import matching_of_round
from baselines.parts.survivors import check_still_connected
from baselines.parts.topology import graph_sequence, topology
from repro.draws import generator
from repro.worker import Worker
from repro.worlds.comm import Comm, RankLost


@dataclass(frozen=True)
class SwarmConfig:
    """Options.

    Args:
        local_steps: H, the number (or mean number) of local steps between two meetings.
        distribution: whether H is fixed or the mean of a geometric distribution.
        topology: the graph; complete in the paper's experiments.
    """

    local_steps: int = 2
    distribution: Distribution = "fixed"
    topology: str = "complete"

    def __post_init__(self) -> None:
        check_local_steps(self.local_steps, self.distribution)


class Swarm(Algorithm):
    """Pairwise averaging after H local steps."""

    Config = SwarmConfig
    state = ("drawn", "round")
    survives = True

    def __init__(self, worker: Worker, comm: Comm, config: SwarmConfig) -> None:
        super().__init__(worker, comm, config)
        topology(config.topology, comm.size)  # refuse it now rather than at the first meeting
        self.drawn = np.zeros(comm.size, dtype=np.int64)  # the sums of all nodes' H so far, where they are random
        self.round = -1
        self.next_round()

    def step(self) -> None:
        worker, lr = self.worker, self.worker.lr
        worker.params.add_(worker.direction(), alpha=-lr)
        if worker.steps == self.meeting_step(worker.rank):
            self.meet()
            self.next_round()

    def cut(self) -> int:
        """Return the meetings so far: at a common number of steps one may wait for another that has stopped."""
        return self.round

    def meeting_step(self, node: int) -> int:
        """Return how many steps a node takes until this round's meeting."""
        H = self.config.local_steps
        return (self.round + 1) * H if self.config.distribution == "fixed" else int(self.drawn[node])

    def meet(self) -> None:
        """Average with this round's partner, if there is one and both are still running."""
        i = self.worker.rank
        j = int(matching_of_round(self.config.topology, self.comm.size, self.worker.run.seed, self.round)[i])
        if j in self.comm.lost or j == i or max(self.meeting_step(i), self.meeting_step(j)) > self.worker.num_steps:
            return
        try:
            self.comm.exchange(self.worker.params, [j]).mix([0.5, 0.5])
        except RankLost:  # it has met no one
            self.check_survivors()

    def check_survivors(self) -> None:
        check_still_connected(graph_sequence(self.config.topology, self.comm.size), self.comm.lost)

    def next_round(self) -> None:
        """Draw everybody's number of local steps; all workers draw the same."""
        self.round += 1
        if self.config.distribution == "geometric":
            p, n = 1 / self.config.local_steps, self.comm.size
            self.drawn += generator("local steps", self.worker.run.seed, self.round).geometric(p, n)
