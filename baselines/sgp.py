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

It runs on any other graph too. On an undirected one P is Metropolis's matrix: then all w_i stay 1, to rounding,
and SGP is D-PSGD that averages after the step.

Differences from the paper:
- Momentum and weight decay are the local optimiser's, at z_i; the direction replaces the gradient.
- Overlap-SGP adds a message exactly when it is due; the paper's also adds one that comes earlier. So the method does
  not depend on the network's speed, and its staleness is the most the paper allows.
- `warmup` is the paper's hybrid schedule: all-reduce or more peers in the first epochs.
- Where a run goes on when a worker has died, of which the paper says nothing, the others keep the shares that were to
  go to it. What it had, and what was under way to and from it, is lost of x and w alike, so that the z_i still come to
  a weighted mean of what is left; the model is the mean of the z_i from then on. As the m workers left have
  sum_i w_i < m, its steps are longer by the factor m / sum_i w_i. The graph must still connect them both ways, and an
  all-reduce needs all workers.

Difference from the authors' code: its scripts take the hops 1, -1, 2, -2, 4, -4, ... in turns; here
`topology = "exponential-alternating"` does.
"""

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.parts.survivors import check_still_connected
from baselines.parts.topology import GraphSequence, graph_sequence
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm, Pending, RankLost

EXPONENTIAL = "exponential-peers"
"""The paper's graph; with a colon and m behind it, of m peers."""


@dataclass(frozen=True)
class SGPConfig:
    """Options.

    Args:
        topology: the graph, which may be directed and change from iteration to iteration.
        peers: m, out-neighbours in an iteration on the paper's graph.
        overlap: tau, iterations a message may travel; 0 is SGP, which waits for it.
        warmup: `allreduce` or a number of peers for the first epochs; empty for none.
        warmup_epochs: epochs of it.
    """

    topology: str = EXPONENTIAL
    peers: int = 1
    overlap: int = 0
    warmup: str = ""
    warmup_epochs: float = 0.0

    def __post_init__(self) -> None:
        if self.peers < 1:
            raise UserError(f"peers must be at least 1, not {self.peers}")
        if self.peers != 1 and self.topology != EXPONENTIAL:
            raise UserError(f"peers are those of {EXPONENTIAL}; another topology says itself how many: {self.topology}")
        if self.overlap < 0:
            raise UserError(f"overlap must not be negative, and is {self.overlap}")
        if self.warmup not in ("", "allreduce") and not self.warmup.isdecimal():
            raise UserError(f"warmup must be allreduce or a number of peers, not {self.warmup!r}")


class SGP(Algorithm):
    """Push-sum averaging with this iteration's neighbours in every step."""

    Config = SGPConfig
    state = ("x", "w", "messages")
    survives = True

    def __init__(self, worker: Worker, comm: Comm, config: SGPConfig) -> None:
        super().__init__(worker, comm, config)
        spec = f"{EXPONENTIAL}:{config.peers}" if config.topology == EXPONENTIAL else config.topology
        self.graphs = self.first_graphs = graph_sequence(spec, comm.size)
        if config.warmup.isdecimal():
            self.first_graphs = graph_sequence(f"{EXPONENTIAL}:{config.warmup}", comm.size)
        self.xw = torch.cat([worker.params, torch.ones(1)])  # worker.params are z
        self.x, self.w = self.xw[:-1], self.xw[-1:]
        self.under_way: deque[tuple[list[Pending], list[Tensor]]] = deque()

    def step(self) -> None:
        worker, gamma, tau, k = self.worker, self.worker.lr, self.config.overlap, self.worker.steps
        warming = worker.epoch < self.config.warmup_epochs
        if warming and self.config.warmup == "allreduce":
            self.x.add_(worker.direction(), alpha=-gamma)
            self.comm.allreduce_mean(self.x)
        else:
            graphs = self.first_graphs if warming else self.graphs
            if tau:
                self.send(k, graphs)
            self.x.add_(worker.direction(), alpha=-gamma)
            if not tau:
                self.send(k, graphs)
            while len(self.under_way) > max(0, tau - 1) or (self.under_way and worker.steps == worker.num_steps):
                self.receive()
        torch.div(self.x, self.w, out=worker.params)

    def send(self, k: int, graphs: GraphSequence) -> None:
        """Send their shares of (x, w) to the out-neighbours of iteration k, and keep one."""
        i, graph, P, lost = self.comm.rank, graphs.at(k), graphs.mixing_matrix(k), self.comm.lost
        targets = [j for j in graph.adj[i] if j not in lost]
        p = {j: float(P[j, i]) for j in (i, *targets)}
        p[i] += sum(float(P[j, i]) for j in graph.adj[i] if j in lost)
        # 1/p is a whole number where all are equal, so that a division rounds once
        shares = {p_ji: self.xw / (1 / p_ji) for p_ji in set(p.values())}
        own = shares[p[i]]
        sources = [j for j in (graph.pred[i] if graphs.directed else graph.adj[i]) if j not in lost]
        incoming = [torch.empty_like(own) for _ in sources]
        pending = [self.comm.irecv(message, j) for message, j in zip(incoming, sources, strict=True)]
        pending += [self.comm.isend(shares[p[j]], j) for j in targets]
        self.xw.copy_(own)
        self.under_way.append((pending, incoming))

    def receive(self) -> None:
        """Add the oldest messages under way."""
        pending, incoming = self.under_way.popleft()
        for number, one in enumerate(pending):  # the receives come first
            try:
                one.wait()
            except RankLost:
                self.check_survivors()
                if number < len(incoming):
                    incoming[number].zero_()
        for message in incoming:
            self.xw.add_(message)

    def check_survivors(self) -> None:
        check_still_connected(self.graphs, self.comm.lost)

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
        """Return the biased x_i, or z_i where part of x_i is under way or lost."""
        return self.worker.params if self.under_way or self.comm.lost else self.x
