"""The pace of the simulated world: real gradients that take virtual time."""

from collections.abc import Callable

import torch

from repro.buckets import OnBucket
from repro.pace import Pace
from repro.tasks.task import Task
from repro.worker import Worker
from repro.worlds.simulated import SimulatedComm

FORWARD = 1 / 3
"""Share of a gradient's time that the forward pass takes; the backward pass computes two products for its one."""

GROUP_ELEMENTS = 1 << 18
"""Elements of the samples that one batched call works on, so that its intermediates stay in the cache."""


class VirtualPace(Pace):
    """Puts each gradient at the end of the time it takes; its pieces come during the backward pass, evenly.

    Args:
        seconds: the duration of the gradient of a step.
        gradients: computes them, one for all workers of a simulation.
        scale: how many times larger the model is to be taken for.
    """

    def __init__(
        self, comm: SimulatedComm, seconds: Callable[[int], float], gradients: "Gradients", scale: float = 1.0
    ) -> None:
        self._comm, self._seconds, self._gradients, self.scale = comm, seconds, gradients, scale

    def gradient(self, worker: Worker, on_bucket: OnBucket | None) -> float:
        seconds, start = self._seconds(worker.steps), self._comm.clock()
        self._gradients.ask(worker)
        if on_bucket is None:
            self._comm.sleep_until(start + seconds)
            self._gradients.get(worker)
            return seconds
        self._comm.sleep_until(start + FORWARD * seconds)
        self._gradients.get(worker)
        handed, total = 0, worker.gradient_vector.numel()
        for piece in worker.pieces():
            handed += piece.numel()
            self._comm.sleep_until(start + seconds * (FORWARD + (1 - FORWARD) * handed / total))
            on_bucket(piece)
        return seconds


class Gradients:
    """Computes the gradients of a simulation's workers: where the task can, all that are under way in one call.

    A worker that computes does nothing else, so its gradient is the same whenever it is computed between its beginning
    and its end.
    """

    def __init__(self, task: Task, *, batched: bool = True) -> None:
        self._task = task
        self._batched = batched and task.batched
        self._asked: dict[int, Worker] = {}

    def ask(self, worker: Worker) -> None:
        """Note that the worker has begun its next gradient."""
        if self._batched:
            self._asked[worker.rank] = worker

    def get(self, worker: Worker) -> None:
        """Return when the worker has its loss and gradient."""
        if not self._batched:
            worker.compute()
        elif worker.rank in self._asked:
            workers = list(self._asked.values())
            self._asked.clear()
            elements = worker.run.batch_size * worker.params.numel()
            group = max(1, GROUP_ELEMENTS // elements)
            for first in range(0, len(workers), group):
                self._compute(workers[first : first + group])

    def _compute(self, workers: list[Worker]) -> None:
        samples = torch.cat([indices for worker in workers for indices, _ in worker.batches.next()])
        inputs, targets = self._task.batch(samples, 0)
        shape = (len(workers), -1)
        losses, gradients = self._task.losses_and_gradients(
            torch.stack([worker.params for worker in workers]),
            (inputs.view(*shape, *inputs.shape[1:]), targets.view(*shape, *targets.shape[1:])),
        )
        torch._foreach_copy_([worker.gradient_vector for worker in workers], gradients.unbind())
        for worker, loss in zip(workers, losses.tolist(), strict=True):
            worker.loss = loss
