"""A Worker: one rank's own state, and nothing of any other rank's."""

import math
from bisect import bisect_right
from functools import cached_property

import torch
from torch import Tensor

from repro.buckets import Buckets, OnBucket, pieces
from repro.draws import generator
from repro.flat import flatten
from repro.optimizer import MomentumSgd
from repro.pace import Pace, WallPace
from repro.runs.spec import Run
from repro.tasks.data.partition import make_partition
from repro.tasks.data.stream import BatchStream
from repro.tasks.task import Batch, Task


class Worker:
    """Flat parameters, the data stream, the local optimiser and the random streams of one rank.

    Attributes:
        params: the model, float32, shape (d,).
        gradient_vector: the last mini-batch's gradient, shape (d,), valid until it is used or drawn again.
        buffers: statistics of batch normalisation, float32, shape (b,); always local.
        size: p, the number of workers; ranks from p on are servers, which compute nothing.
        steps: gradients computed so far.
        num_steps: gradients this worker computes in the whole run; in the mean over the workers, where a method has
            them draw different numbers of samples.
        drawn_by_all: samples drawn by all workers so far, as far as this worker knows, told by a method whose workers
            draw different numbers of them; None where all draw the same.
        rng: this worker's own random stream, seeded with (seed, rank). What all workers must draw alike is drawn from
            a generator of (purpose, seed, number), see `repro.draws`; nothing from a global one.
    """

    def __init__(self, run: Run, task: Task, rank: int, pace: Pace | None = None) -> None:
        self.run, self.task = run, task
        self._pace = pace or WallPace()
        self.rank, self.size = rank, run.workers
        # every worker starts from the same point, as all the papers assume
        self.model = flatten(task.new_model(run.seed))
        self.params, self.buffers = self.model.params, self.model.buffers
        self.gradient_vector = self.model.gradient
        self.optimizer = MomentumSgd(run.sgd, self.params, self.model.decays)
        partition = make_partition(run.partition, task.num_samples, task.labels, run.workers, run.seed)
        self.batches = BatchStream(partition, rank % run.workers, run.batch_size)
        self.rng = generator("worker", run.seed, rank)
        self.steps = 0
        self.num_steps = 0 if self.serves else run.num_steps(task.num_samples)
        self.drawn_by_all: int | None = None
        self.gradient_s = 0.0
        self.loss = math.nan
        self.loss_sum, self.losses = 0.0, 0  # of the mini-batches since the last mean

    @property
    def serves(self) -> bool:
        """Whether this rank is a server."""
        return self.rank >= self.size

    @property
    def samples(self) -> int:
        """Samples drawn by all workers so far: exact where workers step together, `drawn_by_all` where they draw
        different numbers, size * own samples otherwise."""
        return self.steps * self.size * self.run.batch_size if self.drawn_by_all is None else self.drawn_by_all

    @property
    def budget(self) -> int:
        """Samples that all workers draw in the whole run."""
        return self.num_steps * self.size * self.run.batch_size

    @property
    def epoch(self) -> float:
        """Collective passes over the training data so far."""
        return self.samples / self.task.num_samples

    @property
    def lr(self) -> float:
        """The scheduled learning rate of the next gradient; read it before drawing that.

        It rises during the warm-up, falls by `decay` at each milestone, a fraction of the collective samples, and with
        the worker's own steps where the schedule says so, see `Sgd`.
        """
        sgd = self.run.sgd
        if sgd.warmup_epochs is not None and sgd.warmup_lr is not None and self.epoch < sgd.warmup_epochs:
            return sgd.warmup_lr + (sgd.lr - sgd.warmup_lr) * self.epoch / sgd.warmup_epochs
        lr = sgd.lr * sgd.decay ** bisect_right(sgd.milestones, self.samples / self.budget)
        if sgd.inverse_decay is not None and sgd.inverse_power is not None:
            lr /= (1 + sgd.inverse_decay * self.steps) ** sgd.inverse_power
        return lr

    def gradient(self, on_bucket: OnBucket | None = None) -> Tensor:
        """Draw the next mini-batch and return the gradient of its mean loss at `params`, shape (d,).

        Args:
            on_bucket: called during the backward pass with views of the gradient vector, each as soon as it is final
                and together covering it, so that communication overlaps with the rest of the pass. A task whose
                gradient is not computed by autograd hands it out whole.
        """
        self.gradient_s += self._pace.gradient(self, on_bucket)
        self.loss_sum += self.loss
        self.losses += 1
        self.steps += 1
        return self.gradient_vector

    def compute(self, on_bucket: OnBucket | None = None) -> None:
        """Compute the next mini-batch's loss and gradient, now; a world's pace calls this."""
        batch = self.next_batch()
        if on_bucket is not None:
            self._buckets.open(on_bucket)
        self.loss = self.task.loss_and_gradient(self.model.module, batch, self.gradient_vector)
        if on_bucket is not None:
            self._buckets.close()

    def direction(self) -> Tensor:
        """Return the local optimiser's direction for the next mini-batch, shape (d,): the gradient with weight decay
        and momentum, whose lr-fold is to be subtracted from the parameters."""
        return self.optimizer.direction(self.params, self.gradient())

    def regularised_gradient(self) -> Tensor:
        """Return the next mini-batch's gradient at `params` with weight decay, shape (d,), for methods that have a
        momentum of their own."""
        return self.optimizer.regularise(self.params, self.gradient())

    def mean_loss(self) -> float:
        """Return the mean of the mini-batch losses since the last call; nan where there were none."""
        mean = self.loss_sum / self.losses if self.losses else math.nan
        self.loss_sum, self.losses = 0.0, 0
        return mean

    def pieces(self) -> list[Tensor]:
        """Return the views of the gradient vector that `on_bucket` is called with, in its order."""
        return pieces(self.model, scale=self._pace.scale)

    @cached_property
    def _buckets(self) -> Buckets:
        return Buckets(self.model)

    def next_batch(self) -> Batch:
        """Draw the next mini-batch."""
        pieces = [self.task.batch(indices, epoch) for indices, epoch in self.batches.next()]
        if self.steps + 1 < self.num_steps:
            for indices, epoch in self.batches.peek():
                self.task.prefetch(indices, epoch)
        if len(pieces) == 1:
            return pieces[0]
        return tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))
