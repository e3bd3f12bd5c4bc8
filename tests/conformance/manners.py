"""What an algorithm must leave alone, since the ranks of the simulated world share one process: the global random
generators, autograd's mode, and other workers' normalisation statistics."""

import torch
from torch import Tensor

from repro.flat import flatten
from tests.conformance.scene import Watched

__tracebackhide__ = True  # the message says it


def check_generators(touched: list[list[str]]) -> None:
    """No global random generator has moved.

    Args:
        touched: of each worker, the generators that are not as they were.
    """
    names = sorted({name for names in touched for name in names})
    assert not names, f"it draws from, or seeds, global generators: {', '.join(names)}; draw from worker.rng"


def check_autograd(switched_on: list[list[int]]) -> None:
    """A step leaves gradients switched off where they were off.

    Args:
        switched_on: of each worker, the steps after which they were on.
    """
    for worker, steps in enumerate(switched_on):
        assert not steps, f"worker {worker} leaves autograd switched on after step {steps[0]}"


def own_statistics(watched: Watched) -> Tensor:
    """Return the normalisation statistics that come of a worker's own batches, at its own parameters, alone."""
    task = watched.task.inner
    model = flatten(task.new_model(watched.worker.run.seed))
    for params, batch in watched.task.passes:
        model.params.copy_(params)
        with torch.no_grad():
            task.loss(model.module, batch)
    return model.buffers


def check_statistics(buffers: list[Tensor], own: list[Tensor]) -> None:
    """Each worker's normalisation statistics come of its own batches alone.

    Args:
        own: of each worker, what `own_statistics` gives.
    """
    for worker, (found, expected) in enumerate(zip(buffers, own, strict=True)):
        assert torch.equal(found, expected), (
            f"worker {worker}'s normalisation statistics are not those of its own batches: off by up to "
            f"{float((found - expected).abs().max()):.2g}; they stay local"
        )
