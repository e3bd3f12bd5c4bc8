"""Evaluates the models that the workers kept: after the run, off the clock, all workers sharing the work."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from repro.flat import FlatModel, flatten
from repro.runs.train import Point
from repro.tasks.task import Task, TestSums
from repro.worlds.comm import Comm

NORMALISATION_SAMPLES = 2048
"""Training samples over which the normalisation statistics of a mean model are recomputed."""

Row = dict[str, Any]


class Evaluator:
    """Evaluates the points of one run; a process brings those of its own workers, and all processes call alike.

    Args:
        comm: of the processes; every one has the same number of workers.
        the_model: what the shares are to be made, see `Algorithm.the_model`.
    """

    def __init__(self, task: Task, seed: int, comm: Comm, the_model: str = "mean") -> None:
        self._task, self._comm, self._the_model = task, comm, the_model
        self._model = flatten(task.new_model(seed))

    def evaluate(self, points: Sequence[Sequence[Point]]) -> list[Row]:
        """Return the rows of `epochs.csv`, the same in all processes.

        Args:
            points: for each evaluation point, those of this process's workers.
        """
        rows = [self.model_row(of_workers) for of_workers in points]
        return [*rows, *self.local_rows(points[-1], rows[-1])]

    def model_row(self, points: Sequence[Point]) -> Row:
        """Return the row of the model, the mean of the workers' shares or rank 0's."""
        with self._comm.off_the_clock(), torch.no_grad():
            return self._model_row(points)

    def local_rows(self, points: Sequence[Point], model_row: Row) -> list[Row]:
        """Return the rows of the local models' mean and worst metrics; none where the task has no test set."""
        if not self._task.num_test_samples:
            return []
        with self._comm.off_the_clock(), torch.no_grad():
            return self._local_rows(points, model_row)

    def digest(self, points: Sequence[Point]) -> str:
        """Return the SHA-256 of the SHA-256s of all workers' models, in the order of the ranks."""
        own = [hashlib.sha256(point.model.numpy().tobytes()).digest() for point in points]
        with self._comm.off_the_clock():
            everybody = self._comm.allgather(torch.tensor([list(sha256) for sha256 in own], dtype=torch.uint8))
        return hashlib.sha256(everybody.numpy().tobytes()).hexdigest()

    def _model_row(self, points: Sequence[Point]) -> Row:
        task, comm, model, of_centre = self._task, self._comm, self._model, self._the_model == "centre"
        if of_centre:
            model.params.copy_(points[0].model)
            comm.broadcast(model.params, 0)
        else:
            model.params.copy_(mean_of([point.model for point in points], comm))
        recomputed = _recompute_statistics(task, model, comm)
        numbers = [[point.clock_s, point.train_loss, point.steps, point.samples] for point in points]
        everybody = comm.allgather(torch.tensor(numbers, dtype=torch.float64)).reshape(-1, 4)
        clocks, losses, steps, samples = everybody.unbind(1)
        row = {
            "epoch": int(samples.sum()) / task.num_samples,
            "samples": int(samples.sum()),
            "steps": int(steps.sum()) // len(steps),
            "clock_s": float(clocks[0] if of_centre else clocks.max()),
            "learning_rate": points[0].learning_rate,
            "train_loss": float(losses.mean()),
            "evaluated_model": self._the_model,
            "normalisation": "recomputed" if recomputed else "none",
            "train_objective": task.train_objective(model.module),
            "consensus_distance": consensus_distance([point.local_model for point in points], comm),
        }
        if task.num_test_samples:
            start, stop = _part(task.num_test_samples, comm)
            row |= _metrics(_sum_over_ranks(task.test_sums(model.module, start, stop), comm))
        return row

    def _local_rows(self, points: Sequence[Point], model_row: Row) -> list[Row]:
        own = [self._local_metrics(point) for point in points]
        numbers = torch.tensor([[_number(metrics[name]) for name in _METRICS] for metrics in own], dtype=torch.float64)
        table = self._comm.allgather(numbers).reshape(-1, len(_METRICS))
        normalisation = "local" if points[0].buffers.numel() else "none"
        common = model_row | {"normalisation": normalisation, "train_objective": None}
        worst = int(table[:, _METRICS.index("test_loss")].argmax())
        has_top1 = own[0]["test_top1_percent"] is not None
        if has_top1:
            worst = int(table[:, _METRICS.index("test_top1_percent")].argmin())
        rows = []
        for name, values in (("local_mean", table.mean(0).tolist()), ("local_worst", table[worst].tolist())):
            metrics = values if has_top1 else [values[0], None]
            rows.append(common | {"evaluated_model": name} | dict(zip(_METRICS, metrics, strict=True)))
        return rows

    def _local_metrics(self, point: Point) -> Row:
        self._model.params.copy_(point.local_model)
        self._model.buffers.copy_(point.buffers)
        return _metrics(self._task.test_sums(self._model.module, 0, self._task.num_test_samples))


def mean_of(vectors: Sequence[Tensor], comm: Comm) -> Tensor:
    """Return the mean of the vectors that all processes of `comm` hold, as many each."""
    mean = vectors[0].clone()
    for vector in vectors[1:]:
        mean.add_(vector)
    mean.div_(len(vectors))
    comm.allreduce_mean(mean)
    return mean


def consensus_distance(vectors: Sequence[Tensor], comm: Comm) -> float:
    """Return sqrt(1/n sum_i ||x_i - mean||^2) over the vectors that all processes of `comm` hold."""
    mean = mean_of(vectors, comm)
    squares = torch.stack([(x - mean).double().square().sum() for x in vectors])
    return float(comm.allgather(squares).mean().sqrt())


_METRICS = ("test_loss", "test_top1_percent")


def _metrics(sums: TestSums) -> Row:
    top1 = None if sums.correct is None else 100 * sums.correct / sums.count
    return {"test_loss": sums.loss / sums.count, "test_top1_percent": top1}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _sum_over_ranks(part: TestSums, comm: Comm) -> TestSums:
    numbers = torch.tensor([part.loss, part.correct or 0, part.count], dtype=torch.float64)
    loss, correct, count = comm.allgather(numbers).sum(0).tolist()
    return TestSums(loss, None if part.correct is None else int(correct), int(count))


def _part(total: int, comm: Comm) -> tuple[int, int]:
    return total * comm.rank // comm.size, total * (comm.rank + 1) // comm.size


def _recompute_statistics(task: Task, model: FlatModel, comm: Comm) -> bool:
    """Recompute the running statistics of batch normalisation for the model's present parameters.

    Each rank passes its part of the first training samples through the model; the statistics are the mean over ranks
    and batches.
    """
    layers = [m for m in model.module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not layers:
        return False
    start, stop = _part(min(task.num_samples, NORMALISATION_SAMPLES), comm)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over batches
    model.module.train()
    for inputs in task.normalisation_batches(model.module, start, stop):
        model.module(inputs)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    comm.allreduce_mean(model.buffers)
    return True
