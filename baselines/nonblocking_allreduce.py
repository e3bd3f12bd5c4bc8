"""Non-blocking SGD with a ring all-reduce.

He, Dube, Accelerating Parallel Stochastic Gradient Descent via Non-blocking Mini-batches, 2022 (arXiv 2211.00889); see
`nonblocking` for the rounds, and for what is decided here rather than in the paper:

    x <- x - eta sum_i G_i / sum_i k_i
"""

from torch import Tensor

from baselines.nonblocking import Nonblocking, NonblockingConfig
from repro.worker import Worker
from repro.worlds.comm import Comm, Pending


class NonblockingAllReduce(Nonblocking):
    """Gradients are averaged over all workers."""

    Config = NonblockingConfig
    allreduces = True
    lag = 0  # the mean needs the count anyway

    def __init__(self, worker: Worker, comm: Comm, config: NonblockingConfig) -> None:
        super().__init__(worker, comm, config, [j for j in range(comm.size) if j != comm.rank])
        self.reductions: list[Pending] = []

    def accumulate(self) -> None:
        if self.config.capped and self.k == self.m:  # then this mini-batch is the last of the round for certain
            self.worker.gradient(on_bucket=lambda g: self.reduce(self.part(g).add_(g)))
        else:
            super().accumulate()

    def part(self, piece: Tensor) -> Tensor:
        """Return what G has in the place of a piece of the gradient vector."""
        return self.G[piece.storage_offset() :][: piece.numel()]

    def reduce(self, part: Tensor) -> None:
        """Start the mean over the workers of a part of their sums, or of their means."""
        if self.config.weighting == "workers":
            part.div_(self.k)
        self.reductions.append(self.comm.iallreduce_mean(part))

    def average(self) -> None:
        if not self.reductions:
            for piece in self.worker.pieces():  # as those who had the time to overlap it
                self.reduce(self.part(piece))
        self.sums.give(self.k)
        for reduction in self.reductions:
            reduction.wait()
        self.reductions.clear()
        over = {"finished": self.sums.all()[-1] / self.comm.size, "workers": 1, "full": self.m}
        x, g = self.worker.params, self.G.div_(over[self.config.weighting])
        x.add_(self.worker.optimizer.direction(x, g), alpha=-self.lr)
