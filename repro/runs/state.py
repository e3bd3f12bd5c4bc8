"""What a restart needs of one worker and its algorithm: all that later steps depend on.

Tensors and plain values only, so that `torch.load(..., weights_only=True)` reads what `torch.save` wrote.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm, Window

_TURN = 1 << 14
"""Tag of a message that no algorithm's has."""


def state_dict(algorithm: Algorithm) -> dict[str, Any]:
    """Return a copy of the worker's state, of the algorithm's declared `state` and of what its windows hold here.

    All workers call this after the same step, with no message under way. Clocks and counters are not state.
    """
    with _all_stand_still(algorithm.comm):
        return {
            "worker": worker_state(algorithm.worker),
            "algorithm": {name: _plain(name, getattr(algorithm, name)) for name in algorithm.state},
            "windows": {name: _content(algorithm.comm, window) for name, window in _windows(algorithm).items()},
        }


def load_state_dict(algorithm: Algorithm, state: dict[str, Any]) -> None:
    """Let a fresh algorithm go on from where `state` was taken; all workers call this, each with its own.

    Raises:
        UserError: it was taken of something else.
    """
    with _all_stand_still(algorithm.comm):
        try:
            _load(algorithm, state)
        except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
            raise UserError(f"the saved state does not fit the run: {error}") from None


def _load(algorithm: Algorithm, state: dict[str, Any]) -> None:
    load_worker_state(algorithm.worker, state["worker"])
    for name in algorithm.state:
        setattr(algorithm, name, _loaded(getattr(algorithm, name), state["algorithm"][name]))
    for name, window in _windows(algorithm).items():
        with window.lock(algorithm.comm.rank):
            _fill(window.local, state["windows"][name])


def worker_state(worker: Worker) -> dict[str, Any]:
    """Return a copy of the worker's own state, between two steps."""
    return {
        "params": worker.params.clone(),
        "buffers": worker.buffers.clone(),
        "counts": {name: count.clone() for name, count in _counts(worker).items()},
        "momentum": worker.optimizer.momentum.clone(),
        "batches": worker.batches.state(),
        "rng": worker.rng.bit_generator.state,
        "steps": worker.steps,
        "drawn_by_all": worker.drawn_by_all,
        "loss": worker.loss,
        "loss_sum": worker.loss_sum,
        "losses": worker.losses,
        "gradient_s": worker.gradient_s,
    }


def load_worker_state(worker: Worker, state: dict[str, Any]) -> None:
    """Let a fresh worker go on from where `state` was taken."""
    if state["steps"] < 0 or (state["drawn_by_all"] or 0) < 0:  # it would hardly come to an end
        raise ValueError("it has taken less than no steps")
    _fill(worker.params, state["params"])
    _fill(worker.buffers, state["buffers"])
    for name, count in _counts(worker).items():
        _fill(count, state["counts"][name])
    _fill(worker.optimizer.momentum, state["momentum"])
    worker.batches.load_state(state["batches"])
    worker.rng.bit_generator.state = state["rng"]
    worker.steps = state["steps"]
    worker.drawn_by_all = state["drawn_by_all"]
    worker.loss = state["loss"]
    worker.loss_sum = state["loss_sum"]
    worker.losses = state["losses"]
    worker.gradient_s = state["gradient_s"]


@contextmanager
def _all_stand_still(comm: Comm) -> Iterator[None]:
    """Others reach into windows: nobody goes on before all have looked, and then in the order of the ranks.

    In the simulated world all go on at one moment; who then asks first for a lock is to be the same after a restart.
    """
    with comm.off_the_clock():
        comm.barrier()
        yield
        comm.barrier()
        turn = torch.zeros(1)
        if comm.rank > 0:
            comm.irecv(turn, comm.rank - 1, _TURN).wait()
        if comm.rank + 1 < comm.size:
            comm.isend(turn, comm.rank + 1, _TURN).wait()


def _windows(algorithm: Algorithm) -> dict[str, Window]:
    return {name: value for name, value in vars(algorithm).items() if isinstance(value, Window)}


def _content(comm: Comm, window: Window) -> Tensor:
    with window.lock(comm.rank, shared=True):
        return window.local.clone()


def _counts(worker: Worker) -> dict[str, Tensor]:
    """The model's buffers of whole numbers, which `Worker.buffers` has not."""
    return {name: b for name, b in worker.model.module.named_buffers() if not b.is_floating_point()}


def _fill(tensor: Tensor, saved: Tensor) -> Tensor:
    """Copy `saved` into `tensor`, which is as large: copying alone would repeat a smaller one."""
    if saved.shape != tensor.shape or saved.dtype != tensor.dtype:
        raise ValueError(f"{tuple(saved.shape)} numbers of {saved.dtype} for {tuple(tensor.shape)} of {tensor.dtype}")
    return tensor.copy_(saved)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if value is None or type(value) in (bool, int, float, str):  # no scalars of numpy, which are floats, too
        return value
    if isinstance(value, list):
        return [_plain(name, item) for item in value]
    kinds = "a tensor, an array, a generator or plain, or a list of such"
    raise TypeError(f"state {name!r} is a {type(value).__name__}; it must be {kinds}")


def _loaded(current: Any, saved: Any) -> Any:
    """Return the saved value in the form of the attribute, in its place in memory where it has one."""
    if isinstance(current, Tensor):
        return _fill(current, saved)
    if isinstance(current, np.ndarray):
        current[...] = saved.numpy()
        return current
    if isinstance(current, np.random.Generator):
        current.bit_generator.state = saved
        return current
    return saved
