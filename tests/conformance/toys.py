"""Two small algorithms of another kind than those of `baselines/`, which have all the properties: what a stranger's
test looks like, and that the properties hold for more than what they were written on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from repro.worker import Worker
from repro.worlds.comm import Comm
from tests.conformance import Case, Limit
from tests.conformance.limits import alone, union_of_batches


@dataclass(frozen=True)
class TopKConfig:
    """Options.

    Args:
        k: of how many coordinates a worker sends its memory in a step.
    """

    k: int = 5


class TopK(Algorithm):
    """Mem-SGD: all workers apply the mean of what each sends, the k largest coordinates of its memory."""

    Config = TopKConfig
    state = ("memory",)

    def __init__(self, worker: Worker, comm: Comm, config: TopKConfig) -> None:
        super().__init__(worker, comm, config)
        self.memory = torch.zeros_like(worker.params)

    def step(self) -> None:
        lr = self.worker.lr
        self.memory.add_(self.worker.direction(), alpha=lr)
        sent = self.compressed(self.memory)
        self.memory.sub_(sent)
        self.comm.allreduce_mean(sent)
        self.worker.params.sub_(sent)

    def compressed(self, x: Tensor) -> Tensor:
        """Return the k largest coordinates of x, and 0 elsewhere."""
        largest = x.abs().topk(min(self.config.k, len(x))).indices
        return torch.zeros_like(x).index_copy_(0, largest, x[largest])


@dataclass(frozen=True)
class ElasticConfig:
    """Options.

    Args:
        alpha: how much of the way a worker goes to the centre in a step.
    """

    alpha: float = 0.1


class Elastic(Algorithm):
    """Synchronous elastic averaging: x_i <- x_i - alpha (x_i - c), c <- c + alpha sum_i (x_i - c); everybody has c."""

    Config = ElasticConfig
    state = ("centre",)

    def __init__(self, worker: Worker, comm: Comm, config: ElasticConfig) -> None:
        super().__init__(worker, comm, config)
        self.centre = worker.params.clone()
        comm.broadcast(self.centre, 0)

    def step(self) -> None:
        x, lr, alpha = self.worker.params, self.worker.lr, self.config.alpha
        x.add_(self.worker.direction(), alpha=-lr)
        difference = x - self.centre
        x.sub_(difference, alpha=alpha)
        self.comm.allreduce_mean(difference)
        self.centre.add_(difference, alpha=alpha * self.comm.size)

    def model(self) -> Tensor:
        return self.centre


TOYS = (
    Case(
        TopK,
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d,  # it sends the zeros, too
        averages=False,
        memory=lambda topk: topk.memory,
        limits=(
            Limit("k = d is SGD on the union of the batches", union_of_batches, config={"k": 120}, tolerance=1e-6),
        ),
    ),
    Case(
        Elastic,
        bytes_sent=lambda n, d: 2 * (n - 1) / n * 4 * d,
        mass=lambda elastic: elastic.worker.params + elastic.centre / elastic.comm.size,
        limits=(Limit("alpha = 0 is workers alone", alone, config={"alpha": 0.0}),),
    ),
)
