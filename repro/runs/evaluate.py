"""Evaluates the models that the workers kept: after the run, off the clock, all workers sharing the work."""

import hashlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from repro.flat import FlatModel, flatten
from repro.runs.train import Point
from repro.tasks.task import Task, TestSums
from repro.worlds.comm import Comm, consensus_distance

NORMALISATION_SAMPLES = 2048
"""Training samples over which the normalisation statistics of a mean model are recomputed."""

Row = dict[str, Any]


def evaluate(points: list[Point], task: Task, seed: int, comm: Comm) -> list[Row]:
    """Return the rows of `epochs.csv`, the same on all ranks; all ranks call this.

    The mean model is evaluated at every point, the local models at the last.
    """
    model = flatten(task.new_model(seed))
    rows = []
    with comm.off_the_clock(), torch.no_grad():
        for point in points:
            rows.append(_mean_row(point, task, model, comm))
        if task.num_test_samples:
            rows.extend(_local_rows(points[-1], rows[-1], task, model, comm))
    return rows


def digest(model: Tensor, comm: Comm) -> str:
    """Return the SHA-256 of the bytes of the mean over ranks of `model`; all ranks call this."""
    with comm.off_the_clock():
        mean = _mean_of(model, comm)
    return hashlib.sha256(mean.numpy().tobytes()).hexdigest()


def _mean_row(point: Point, task: Task, model: FlatModel, comm: Comm) -> Row:
    model.params.copy_(_mean_of(point.model, comm))
    recomputed = _recompute_statistics(task, model, comm)
    clocks, losses = comm.allgather(torch.tensor([point.clock_s, point.train_loss], dtype=torch.float64)).unbind(1)
    row = {
        "epoch": point.epoch,
        "samples": point.samples,
        "steps": point.steps,
        "clock_s": float(clocks.max()),
        "learning_rate": point.learning_rate,
        "train_loss": float(losses.mean()),
        "evaluated_model": "mean",
        "normalisation": "recomputed" if recomputed else "none",
        "train_objective": task.train_objective(model.module),
        "consensus_distance": consensus_distance(point.local_model, _mean_of(point.local_model, comm), comm),
    }
    if task.num_test_samples:
        start, stop = _part(task.num_test_samples, comm)
        row |= _metrics(_sum_over_ranks(task.test_sums(model.module, start, stop), comm))
    return row


def _local_rows(point: Point, mean_row: Row, task: Task, model: FlatModel, comm: Comm) -> list[Row]:
    model.params.copy_(point.local_model)
    model.buffers.copy_(point.buffers)
    own = _metrics(task.test_sums(model.module, 0, task.num_test_samples))
    table = comm.allgather(torch.tensor([_number(own[name]) for name in _METRICS], dtype=torch.float64))
    normalisation = "local" if point.buffers.numel() else "none"
    common = mean_row | {"normalisation": normalisation, "train_objective": None}
    worst = int(table[:, _METRICS.index("test_loss")].argmax())
    has_top1 = own["test_top1_percent"] is not None
    if has_top1:
        worst = int(table[:, _METRICS.index("test_top1_percent")].argmin())
    return [
        common | {"evaluated_model": name} | dict(zip(_METRICS, values if has_top1 else [values[0], None], strict=True))
        for name, values in (("local_mean", table.mean(0).tolist()), ("local_worst", table[worst].tolist()))
    ]


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


def _mean_of(x: Tensor, comm: Comm) -> Tensor:
    mean = x.clone()
    comm.allreduce_mean(mean)
    return mean


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
