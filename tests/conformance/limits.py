"""Limits in which an algorithm is another, and what it must give there."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from repro.worker import Worker
from tests.conformance.case import Case, Limit
from tests.conformance.mixing import starts
from tests.conformance.scene import Scene, observe, scene
from tests.conformance.tasks import D
from tests.conformance.worlds import Ranks

__tracebackhide__ = True  # the message says it

Reference = Callable[[Scene, Ranks], Tensor]
"""What the workers' parameters must be after a run, shape (n, d)."""


def alone(of: Scene, ranks: Ranks) -> Tensor:
    """Every worker takes its own SGD steps and knows of nobody."""
    return torch.stack([_sgd(Worker(of.run, of.task, rank), _start(of, rank)) for rank in range(ranks.size)])


def mean_of_runs_alone(of: Scene, ranks: Ranks) -> Tensor:
    """Every worker takes its own SGD steps; then all have the mean."""
    return alone(of, ranks).mean(0).expand(ranks.size, -1)


def union_of_batches(of: Scene, ranks: Ranks) -> Tensor:
    """One worker takes SGD steps with the mini-batches of all in one."""
    run = of.run.replace(workers=1, batch_size=of.run.workers * of.run.batch_size)
    return _sgd(Worker(run, of.task, 0), _start(of, 0)).expand(ranks.size, -1)


def mean_of_starts(of: Scene, ranks: Ranks) -> Tensor:
    """Everybody has the exact mean."""
    assert of.start is not None
    return of.start.mean(0).expand(ranks.size, -1)


def other(method: type[Algorithm], **config: Any) -> Reference:
    """Return the reference that is another algorithm on the same ranks."""

    def reference(of: Scene, ranks: Ranks) -> Tensor:
        case = Case(method, config)
        return final_params(Scene(case, of.run, of.task, case.config, of.start), ranks)

    return reference


def scene_of(limit: Limit, case: Case, size: int) -> Scene:
    """Return the run of a limit; where nothing is learned, from `starts`."""
    start = None if limit.sgd.lr else starts(size, D)
    return scene(case, size, steps=limit.steps(size), sgd=limit.sgd, config=limit.config, start=start)


def final_params(of: Scene, ranks: Ranks) -> Tensor:
    """Return all workers' parameters after the run, shape (n, d)."""
    return torch.stack([seen.params[-1] for seen in observe(of, ranks, every_step=False)])


def check_limit(limit: Limit, found: Tensor, expected: Tensor) -> None:
    """The workers' parameters are what the limit says."""
    off = float((found.double() - expected.double()).norm() / expected.double().norm())
    same = torch.equal(found, expected) if limit.tolerance == 0 else off < limit.tolerance
    allowed = f"not by less than {limit.tolerance:g}" if limit.tolerance else "not equal bit for bit"
    assert same, f"limit '{limit.name}', {len(found)} workers: off by {off:.1e} of the norm, {allowed}"


def limits_of(case: Case, size: int) -> Iterator[Limit]:
    """The limits of a case that hold for this number of workers."""
    return (limit for limit in case.limits if size in limit.sizes)


def _start(of: Scene, rank: int) -> Tensor | None:
    return None if of.start is None else of.start[rank]


def _sgd(worker: Worker, start: Tensor | None) -> Tensor:
    if start is not None:
        worker.params.copy_(start)
    with torch.no_grad():
        while worker.steps < worker.num_steps:
            lr = worker.lr
            worker.params.add_(worker.direction(), alpha=-lr)
    return worker.params
