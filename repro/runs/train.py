"""Trains one run on the ranks of a world: the same program in every world."""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from repro.runs.divergence import Diverged
from repro.worker import Worker

Progress = Callable[[Worker, float], None]
"""Called after every step with the worker and the world's clock in seconds; may raise Diverged to end the run."""


@dataclass(frozen=True)
class Point:
    """What one worker kept at one of its evaluation points, to be evaluated after the run and off the clock.

    Attributes:
        number: which of the run's points it is, the same in all workers.
        samples: drawn by this worker so far.
        model: this worker's share of the model, shape (d,).
        local_model: its own parameters, shape (d,); the same tensor where the share is the parameters.
        buffers: its statistics of batch normalisation, shape (b,).
    """

    number: int
    steps: int
    samples: int
    clock_s: float
    learning_rate: float
    train_loss: float
    model: Tensor
    local_model: Tensor
    buffers: Tensor


OnPoint = Callable[[Point, int], None]
"""Called with each point and the rank of its worker."""


def train(algorithm: Algorithm, on_point: OnPoint, on_step: Progress | None = None, *, passed: int = 0) -> float:
    """Run the algorithm to its end and return the clock's seconds.

    Workers are not synchronised to be measured: each copies its model when it gets to a point, as far as it knows how
    many samples all workers have drawn. Where they draw different numbers, all learn the same counts in the same order
    (see `Algorithm.equal_steps`), and so take the same points. A run that has diverged takes its last where it ends.

    Args:
        passed: number of the last point that was taken before, where a run goes on.
    """
    worker, comm = algorithm.worker, algorithm.comm
    all_step = worker.size * worker.run.batch_size
    points = [steps * all_step for steps in sorted(evaluation_steps(worker.num_steps, worker.run.evaluations))]
    with torch.no_grad():  # tasks switch gradients on where they differentiate, and nowhere else
        while not algorithm.finished():
            lr = worker.lr
            algorithm.step()
            comm.step = worker.steps
            if (reached := bisect_right(points, worker.samples)) > passed:
                passed = reached
                _take(algorithm, on_point, passed, lr)
            if on_step is None:
                continue
            try:
                on_step(worker, comm.now())
            except Diverged:
                if passed < len(points):
                    _take(algorithm, on_point, len(points), lr)
                break
    return comm.now()


def evaluation_steps(num_steps: int, evaluations: int) -> frozenset[int]:
    """Return the steps after which the model is copied: evenly spaced, the last step among them."""
    return frozenset(math.ceil(num_steps * k / evaluations) for k in range(1, evaluations + 1))


def _take(algorithm: Algorithm, on_point: OnPoint, number: int, lr: float) -> None:
    clock_s = algorithm.comm.now()
    with algorithm.comm.off_the_clock():
        on_point(_point(algorithm, number, clock_s, lr), algorithm.comm.rank)


def _point(algorithm: Algorithm, number: int, clock_s: float, lr: float) -> Point:
    worker = algorithm.worker
    share = algorithm.model()
    model = share.clone()
    return Point(
        number=number,
        steps=worker.steps,
        samples=worker.steps * worker.run.batch_size,
        clock_s=clock_s,
        learning_rate=lr,
        train_loss=worker.mean_loss(),
        model=model,
        local_model=model if share is worker.params else worker.params.clone(),
        buffers=worker.buffers.clone(),
    )
