"""The contract of a Comm: all that an algorithm may do to reach other workers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor

CHUNK = 1 << 16
"""Elements mixed at a time, 256 KiB of float32: a chunk stays in the core's cache over all terms of the sum."""


@dataclass
class Counters:
    """What one worker has sent, received and waited for since the run began.

    Bytes are those of the method, as the papers count them: an exchange of x with k peers sends k * 4d, a ring
    all-reduce sends and receives 2(n-1)/n * 4d, whatever the transport does underneath.
    """

    messages: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    wait_s: float = 0.0


def mix_(x: Tensor, neighbours: Sequence[Tensor], weights: Sequence[float], lower: int) -> None:
    """Replace x by weights[0]*x + sum_k weights[k+1]*neighbours[k], in one pass over memory and in this order.

    Both worlds mix with this function, so equal inputs give equal bits. Two workers who take the mean of their vectors
    get the same bits: the sum is evaluated from the lower rank to the higher.

    Args:
        lower: how many of the neighbours have a lower rank than the owner of x.
    """
    if len(neighbours) == 1 and weights[0] + weights[1] == 1.0:  # one fused operation instead of two
        if lower:
            torch.lerp(neighbours[0], x, weights[0], out=x)
        else:
            x.lerp_(neighbours[0], weights[1])
        return
    for start in range(0, x.numel(), CHUNK):
        part = x[start : start + CHUNK].mul_(weights[0])
        for neighbour, weight in zip(neighbours, weights[1:], strict=True):
            part.add_(neighbour[start : start + CHUNK], alpha=weight)


class RankLost(Exception):
    """A rank that this one waited for has died, in a run that is to go on without it."""


class Pending(ABC):
    """A communication that was started."""

    @abstractmethod
    def wait(self) -> None:
        """Return when it is complete: a received or reduced tensor holds its result, a sent one may be changed."""


class Exchange(ABC):
    """A pairwise exchange that was started; finish it with exactly one of `mix` and `wait`."""

    @abstractmethod
    def mix(self, weights: Sequence[float]) -> None:
        """Wait, then replace x by weights[0]*x + sum_k weights[k+1]*x_k, x_k being the vector of the k-th peer."""

    @abstractmethod
    def wait(self) -> list[Tensor]:
        """Wait, then return copies of the peers' vectors in the order of the peers."""


class Window(ABC):
    """One vector a rank that the others reach without its taking part (MPI passive target).

    `get`, `put` and `accumulate` need a lock on the target, `modify` an exclusive one.
    """

    local: Tensor
    """This rank's own vector; read or write it only under a lock on this rank."""

    @abstractmethod
    def lock(self, rank: int, *, shared: bool = False) -> AbstractContextManager[None]:
        """Hold a lock on the vector of `rank`; on leaving, all operations on it are complete there."""

    @abstractmethod
    def get(self, rank: int, out: Tensor, offset: int = 0) -> None:
        """Read the vector of `rank`, from element `offset` on, into `out`; complete after `flush` or unlock."""

    @abstractmethod
    def put(self, rank: int, x: Tensor, offset: int = 0) -> None:
        """Write `x` over the vector of `rank`, from element `offset` on."""

    @abstractmethod
    def accumulate(self, rank: int, x: Tensor, offset: int = 0) -> None:
        """Add `x` to the vector of `rank`, from element `offset` on, each element atomically."""

    @abstractmethod
    def flush(self, rank: int) -> None:
        """Return when all operations on `rank` so far are complete."""

    def modify(self, rank: int, change: Callable[[Tensor], object]) -> None:
        """Let `change` alter the vector of `rank` in place: a get and a put, and counted as such, but where the memory
        is at hand nothing is copied."""
        vector = torch.empty_like(self.local)  # a new one, since it may be read from until the unlock
        self.get(rank, vector)
        self.flush(rank)
        change(vector)
        self.put(rank, vector)


class Comm(ABC):
    """One rank's way to the others, written for blocking SPMD style: every rank runs the same program.

    Where ranks wait for what cannot come, the world ends the run and says who waits for whom. Where a run is to go on
    without ranks that have died, whoever waits for one gets RankLost.
    """

    rank: int
    size: int
    step: int = 0
    """Steps this rank has finished, told by the harness, so that whoever waits for ever can be told where."""
    lost: Mapping[int, int] = MappingProxyType({})
    """Ranks that this one knows to have died, and at which of its own steps it learnt of it."""
    counters: Counters
    engine: str
    """What all-reduces run on, e.g. `horovod 0.28.1 (mpi)`."""

    @abstractmethod
    def now(self) -> float:
        """Return the world's clock in seconds since the run began, without the time spent off the clock."""

    @abstractmethod
    def off_the_clock(self) -> AbstractContextManager[None]:
        """Stop this rank's clock and counters, for evaluation."""

    @abstractmethod
    def exchange(self, x: Tensor, peers: Sequence[int]) -> Exchange:
        """Start to swap x, shape (d,), with each of `peers`, who must call this with this rank among theirs.

        x must stay as it is until the exchange is finished; computing in between overlaps with it. Two ranks'
        exchanges with each other pair up in the order of their calls. Two may be under way at a time.
        """

    @abstractmethod
    def isend(self, x: Tensor, peer: int, tag: int = 0) -> Pending:
        """Start to send x to `peer`; x must stay as it is until the wait is over."""

    @abstractmethod
    def irecv(self, out: Tensor, peer: int, tag: int = 0) -> Pending:
        """Start to receive from `peer` into `out`."""

    @abstractmethod
    def iallreduce_mean(self, x: Tensor) -> Pending:
        """Start to replace x by its mean over all ranks; all ranks call this in the same order."""

    @abstractmethod
    def allgather(self, x: Tensor) -> Tensor:
        """Return the x of all ranks, stacked, shape (size, *x.shape)."""

    @abstractmethod
    def broadcast(self, x: Tensor, root: int) -> None:
        """Replace x by that of `root`."""

    @abstractmethod
    def barrier(self) -> None:
        """Return when all ranks are here."""

    @abstractmethod
    def window(self, x: Tensor) -> Window:
        """Open a window that holds a copy of x; all ranks call this, with x of one length."""

    @final
    def allreduce_mean(self, x: Tensor) -> None:
        """Replace x by its mean over all ranks."""
        self.iallreduce_mean(x).wait()


def nbytes(x: Tensor) -> int:
    """Return the bytes of a tensor's elements."""
    return x.numel() * x.element_size()


def ring_allreduce_bytes(size: int, x: Tensor) -> int:
    """Return the bytes one of `size` ranks sends (and receives) in a ring all-reduce of x: 2(n-1)/n * bytes(x)."""
    return 2 * (size - 1) * nbytes(x) // size
