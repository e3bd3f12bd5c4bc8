"""What the methods with a centre share: where it lies, how it is changed, and how the others read it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.worker import Worker
from repro.worlds.comm import Comm, Window


@dataclass(frozen=True)
class CentreConfig:
    """Options of all methods with a centre.

    Args:
        servers: s, the ranks beside the workers that the centre lies on, a piece of ceil(d/s) parameters each; with 0
            it lies on rank 0, who is a worker, too.
    """

    servers: int = 0

    def __post_init__(self) -> None:
        if self.servers < 0:
            raise UserError(f"servers must not be negative, and is {self.servers}")


@dataclass(frozen=True)
class PeriodicConfig(CentreConfig):
    """Options of methods that reach for the centre every so many steps.

    Args:
        period: tau, steps of a worker from one time to the next.
    """

    period: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.period < 1:
            raise UserError(f"period must be at least 1, not {self.period}")


class Central(Algorithm):
    """Keeps x~ in a one-sided window on the servers; workers change it there, one at a time.

    A worker goes through the pieces of several servers one after the other, from another one on than its neighbours. So
    what it reads may be of several moments, as in the released code, which has its parameters on several servers, too.
    """

    asynchronous = True
    the_model = "centre"
    centre: Window

    def __init__(self, worker: Worker, comm: Comm, config: CentreConfig) -> None:
        super().__init__(worker, comm, config)
        self.holders = list(range(worker.size, comm.size)) or [0]
        self.d, self.length = worker.params.numel(), -(-worker.params.numel() // len(self.holders))
        self.centre = self.shared(worker.params)

    def shared(self, x: Tensor) -> Window:
        """Open a window in which the holders keep x, shape (d,), each its piece; all ranks call this."""
        start = self.holders.index(self.comm.rank) * self.length if self.comm.rank in self.holders else self.d
        piece = x.new_zeros(self.length)
        piece[: len(x[start : start + self.length])] = x[start : start + self.length]
        return self.comm.window(piece)

    def visit(self, change: Callable[[int, slice, Tensor], None]) -> None:
        """Call change(holder, part, x~[part]) for every piece of the centre, under its lock."""
        first = self.comm.rank % len(self.holders)
        for number in (*range(first, len(self.holders)), *range(first)):
            holder, start = self.holders[number], min(number * self.length, self.d)
            part = slice(start, min(start + self.length, self.d))
            with self.centre.lock(holder):
                self.centre.modify(holder, lambda x, h=holder, p=part: change(h, p, x[: p.stop - p.start]))  # type: ignore[misc]

    def read(self, window: Window) -> Tensor:
        """Return what the holders keep in a window, shape (d,)."""
        pieces = torch.empty(len(self.holders), self.length)
        for piece, holder in zip(pieces, self.holders, strict=True):
            with window.lock(holder, shared=True):
                window.get(holder, piece)
        return pieces.flatten()[: self.d]

    def model(self) -> Tensor:
        """Return the centre, and on other ranks than 0, which nobody asks, the worker's own parameters."""
        return self.worker.params if self.comm.rank else self.read(self.centre)
