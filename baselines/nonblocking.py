"""Non-blocking SGD: nobody waits for a whole batch of a slow worker, and no gradient is stale.

He, Dube, Accelerating Parallel Stochastic Gradient Descent via Non-blocking Mini-batches, 2022 (arXiv 2211.00889).
Every worker's batch is split in m mini-batches. In round t worker i, with G_i = 0 and k_i = 0:

    repeat  G_i <- G_i + grad F_i(x_i; next mini-batch),  k_i <- k_i + 1
    until   k_i = m, or a neighbour is through with its round t
    tell the neighbours; then, with what is finished,

    all-reduce  x   <- x - eta sum_i G_i / sum_i k_i
    D-PSGD      x_i <- sum_j W_ij x_j - eta G_i / k_i
    MATCHA      x_i <- sum_j W_ij (x_j - eta G_j / k_j),   W = I - alpha sum_l B_l L_l of this round

The model is the mean of all x_i. With m = 1 these are large-batch SGD, D-PSGD and MATCHA; so they are with workers
equally fast, in batches m times as large.

Differences from the paper: its text was not at hand. Its abstract says that the batch is split, that gradients are
accumulated, that the update is made of the finished mini-batches, and that none is stale; the first author's course
project, "Non-blocking Synchronous SGD", that whoever has finished its batch first signals the others, who then send
what they have accumulated. Decided here:
- The signal is one-sided: a worker writes the number of its finished rounds into its neighbours' windows, and looks
  into its own between two mini-batches. Whoever is stopped tells its neighbours as well. Neighbours are all others with
  the all-reduce, and those in the whole graph with MATCHA, whose matchings of the round may not reach a slow worker.
- Cap: m mini-batches a round, then a worker waits; with `capped = False` it goes on until all neighbours are through.
- A mini-batch that is being computed when the signal comes is finished and counts, so the others wait for one
  mini-batch of the slowest at most. Abandoning it would end the wait sooner and lose its work; `Worker.gradient`, as a
  backward pass does, runs to its end. So k_i >= 1.
- Left-overs: what a stopped worker has not got to are its next mini-batches, `left_overs = "continue"`; with "skip"
  it begins a new batch, and they are drawn by nobody.
- Weighting: "finished" is the mean over finished mini-batches, above. "workers" is the mean over workers of their own
  means, and differs with the all-reduce alone: fast workers' data then weigh no more than others'. "full" divides by
  the whole batch, n m and m, so that every sample moves the model alike and a short round takes a short step.
- The schedule of the learning rate and the end of the run go by the samples that all workers have drawn together. Their
  count is an all-reduce of k_i that runs while the next rounds do: in D-PSGD and MATCHA, where nothing else is
  collective, it is waited for `LAG` rounds later, until when those rounds count like the last known, and near the end
  at once, so that the run ends with the first round in which the budget of samples is used up, in all workers the same.
- Momentum and weight decay are the local optimiser's, once a round. With the all-reduce the reduction of a worker's
  m-th mini-batch overlaps with its backward pass, as in `largebatch`; D-PSGD's exchange with the whole round.
- W is Metropolis's matrix, as in `dpsgd`, and MATCHA's schedule that of `matcha`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from baselines.parts.late_sums import LateSums
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm

LAG = 4
"""Rounds after which a worker of a gossip form wants to know how many samples all have drawn."""

LeftOvers = Literal["continue", "skip"]
Weighting = Literal["finished", "workers", "full"]


@dataclass(frozen=True)
class NonblockingConfig:
    """Options of all forms.

    Args:
        mini_batches: m, the mini-batches of a batch; the run's `batch_size` is that of one.
        capped: whether a worker that has finished its batch waits, or goes on until all neighbours are through.
        left_overs: what becomes of the mini-batches a stopped worker has not got to.
        weighting: what accumulated gradients are divided by.
    """

    mini_batches: int = 8
    capped: bool = True
    left_overs: LeftOvers = "continue"
    weighting: Weighting = "finished"

    def __post_init__(self) -> None:
        if self.mini_batches < 1:
            raise UserError(f"mini_batches must be at least 1, not {self.mini_batches}")
        if self.left_overs not in get_args(LeftOvers):
            raise UserError(f"unknown left_overs {self.left_overs!r}; known: {', '.join(get_args(LeftOvers))}")
        if self.weighting not in get_args(Weighting):
            raise UserError(f"unknown weighting {self.weighting!r}; known: {', '.join(get_args(Weighting))}")


class Nonblocking(Algorithm):
    """Rounds of as many mini-batches as there is time for.

    A step is one mini-batch; the last of a round goes into the averaging.
    """

    state = ("round", "counted", "moved")
    equal_steps = False
    lag = LAG

    def __init__(self, worker: Worker, comm: Comm, config: NonblockingConfig, neighbours: Sequence[int]) -> None:
        super().__init__(worker, comm, config)
        self.m, self.neighbours = config.mini_batches, list(neighbours)
        self.round = self.k = 0
        self.G = torch.zeros_like(worker.params)
        self.rounds = comm.window(torch.zeros(comm.size, dtype=torch.int32))  # how many each other has finished
        self.sums = LateSums(comm)  # of the mini-batches of those rounds that this worker has yet to learn of
        self.finished_by_all, self.last = 0, self.most  # mini-batches of all workers: so far, and in the last round
        worker.drawn_by_all = 0
        self.moved = 0  # how often x has changed between a gradient and its application

    def step(self) -> None:
        worker, version = self.worker, self.worker.params._version
        if self.k == 0:
            self.lr = worker.lr
            self.begin()
        self.k += 1
        self.accumulate()
        stopped = self.k < self.m and bool(self.through().any())
        if stopped or self.k == self.m:
            self.tell()
        averages = stopped or (self.k >= self.m and (self.config.capped or bool(self.through().all())))
        self.moved += worker.params._version - version
        if averages:
            self.average()
            self.next_round()

    def through(self) -> Tensor:
        """Return which neighbours are through with this round, bool."""
        with self.rounds.lock(self.comm.rank, shared=True):
            return self.rounds.local[self.neighbours] > self.round

    def tell(self) -> None:
        """Tell the neighbours that this worker is through with this round."""
        for j in self.neighbours:
            with self.rounds.lock(j):
                self.rounds.put(j, torch.tensor([self.round + 1], dtype=torch.int32), offset=self.comm.rank)

    def next_round(self) -> None:
        """Begin again, and learn what all workers have finished."""
        if self.config.left_overs == "skip":
            for _ in range(self.m - self.k):
                self.worker.batches.next()
        self.k, self.round = 0, self.round + 1
        self.G.zero_()
        budget = self.worker.num_steps * self.worker.size
        while len(self.sums) > (self.lag if self.finished_by_all + len(self.sums) * self.most < budget else 0):
            self.last = self.sums.oldest()
            self.finished_by_all += self.last
        self.estimate()

    @property
    def most(self) -> int:
        """Mini-batches of all workers in a round in which nobody is stopped."""
        return self.m * self.worker.size

    def estimate(self) -> None:
        """Tell the worker what all have drawn: rounds it has yet to learn of were like the last it knows, so that all
        workers say the same after the same round; near the end there are none."""
        finished = self.finished_by_all + len(self.sums) * min(self.last, self.most)
        self.worker.drawn_by_all = finished * self.worker.run.batch_size

    def cut(self) -> int:
        """Return the rounds this worker is through with."""
        return self.round

    def finished(self) -> bool:
        """Return whether the budget of samples is used up, which all workers find after the same round."""
        return self.k == 0 and self.worker.samples >= self.worker.budget

    @property
    def counted(self) -> list[int]:
        """What is known of the mini-batches of all workers: `finished_by_all`, `last`, and what the sums will say."""
        return [self.finished_by_all, self.last, *self.sums.all()]

    @counted.setter
    def counted(self, counts: list[int]) -> None:
        self.finished_by_all, self.last, *late = counts
        self.sums.load(late)
        self.estimate()

    def mean(self) -> Tensor:
        """Return this worker's accumulated gradient over what it is divided by in the gossip forms."""
        return self.G.div_(self.m if self.config.weighting == "full" else self.k)

    def measures(self) -> dict[str, float]:
        """Return this worker's rounds, its mini-batches a round in the mean, and how often its parameters changed
        between a gradient and its application."""
        rounds = self.round
        return {"rounds": rounds, "mini_batches_a_round": self.worker.steps / rounds, "changes_in_round": self.moved}

    def begin(self) -> None:
        """Begin a round: start what overlaps with it."""

    def accumulate(self) -> None:
        """G <- G + the next mini-batch's gradient."""
        self.G.add_(self.worker.gradient())

    @abstractmethod
    def average(self) -> None:
        """Apply the accumulated gradients, average, and give their number to be counted."""
