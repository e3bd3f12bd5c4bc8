"""MDOWNPOUR: DOWNPOUR with Nesterov's momentum in the master's updates.

Zhang, Choromanska, LeCun, Deep Learning with Elastic Averaging SGD, NeurIPS 2015 (arXiv 1412.6651), the baselines of
section 5. Workers send every gradient (tau = 1) and get y, the point at which the next one is to be taken. When a
gradient comes, the master does Nesterov's step, here in terms of the point y = x~ + delta v ahead of x~:

    v <- delta v - eta g
    y <- y - eta g + delta v

The model is x~ = y - delta v.

Differences from the paper:
- Its own lines (algorithms 4 and 5 of the supplement) were not at hand; this recursion follows from its text.
- v never leaves the master in the paper. Here whoever brings a gradient does the master's work, and what it does to v
  is off the clock.
- delta is the local optimiser's momentum; weight decay is a part of g.
"""

import torch
from torch import Tensor

from baselines.parts.central import Central, CentreConfig
from repro.worker import Worker
from repro.worlds.comm import Comm


class MDownpour(Central):
    """Asynchronous SGD with momentum at the parameter server; the window of the centre holds y."""

    Config = CentreConfig

    def __init__(self, worker: Worker, comm: Comm, config: CentreConfig) -> None:
        super().__init__(worker, comm, config)
        self.v = self.shared(torch.zeros_like(worker.params))

    def step(self) -> None:
        if self.worker.steps == 0:
            self.visit(self.pull)
        self.eta = self.worker.lr
        self.g = self.worker.regularised_gradient()
        self.visit(self.push_and_pull)

    def pull(self, holder: int, part: slice, y: Tensor) -> None:
        """Take y."""
        self.worker.params[part].copy_(y)

    def push_and_pull(self, holder: int, part: slice, y: Tensor) -> None:
        """Do the master's step with this worker's gradient, and take y."""
        g, delta = self.g[part], self.worker.run.sgd.momentum
        v = torch.empty_like(g)
        with self.comm.off_the_clock(), self.v.lock(holder):
            self.v.modify(holder, lambda of_master: v.copy_(of_master.mul_(delta)[: len(g)].add_(g, alpha=-self.eta)))
        y.add_(g, alpha=-self.eta).add_(v, alpha=delta)
        self.worker.params[part].copy_(y)

    def model(self) -> Tensor:
        """Return x~, and on other ranks than 0 the worker's own parameters."""
        if self.comm.rank:
            return self.worker.params
        return self.read(self.centre).sub_(self.read(self.v), alpha=self.worker.run.sgd.momentum)
