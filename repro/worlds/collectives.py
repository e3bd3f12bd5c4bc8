"""The collectives of the simulated world: the real algorithms, message by message, without their data.

What a message carries does not change when it arrives, so the data of a collective are computed once, in the order in
which its messages would have combined them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from repro.worlds.events import Signal


class Move(NamedTuple):
    """What one rank does in one round: send `nbytes` to `target`, receive from `source`; None for neither."""

    target: int | None
    nbytes: float
    source: int | None


Schedule = Callable[[int, int], Move]
"""(rank, round) -> its move; a rank begins a round when it has received what the last one was to bring it."""

Send = Callable[[int, int, float, Callable[[Any], None], Any], object]


@dataclass
class RingAllreduce:
    """Reduce-scatter, then all-gather, around the ring: in round k rank r sends chunk (r - k) mod p to r + 1.

    Args:
        sizes: bytes of the p chunks.
    """

    sizes: list[float]

    def move(self, rank: int, k: int) -> Move:
        """Return what a rank does in round k."""
        sizes = self.sizes
        p = len(sizes)
        return Move((rank + 1) % p, sizes[(rank - k) % p], (rank - 1) % p)


@dataclass
class RingAllgather:
    """Each rank's block goes once around the ring."""

    size: int
    nbytes: float

    def move(self, rank: int, k: int) -> Move:
        """Return what a rank does in round k."""
        return Move((rank + 1) % self.size, self.nbytes, (rank - 1) % self.size)


@dataclass
class BinomialBroadcast:
    """In round k each of the 2^k ranks that have it sends it to one that has not."""

    size: int
    nbytes: float
    root: int

    def move(self, rank: int, k: int) -> Move:
        """Return what a rank does in round k."""
        size, root = self.size, self.root
        place = (rank - root) % size
        if place < 2**k:
            to = place + 2**k
            return Move((to + root) % size if to < size else None, self.nbytes, None)
        return Move(None, 0, (place - 2**k + root) % size if place < 2 ** (k + 1) else None)


@dataclass
class DisseminationBarrier:
    """In round k rank r tells r + 2^k (Hensgen, Finkel, Manber 1988)."""

    size: int

    def move(self, rank: int, k: int) -> Move:
        """Return what a rank does in round k."""
        return Move((rank + 2**k) % self.size, 0, (rank - 2**k) % self.size)


class Collective:
    """One collective operation under way, the same object for all ranks.

    Args:
        name: what it is, e.g. `an all-reduce of 1000 elements`; ranks must agree on it.
        rounds: number of rounds of the schedule.
        send: send(source, target, nbytes, arrival, argument), as the network's.
        end: called with each rank that is through with it.
    """

    def __init__(
        self, name: str, size: int, rounds: int, schedule: Schedule, send: Send, end: Callable[[int], None]
    ) -> None:
        self.name = name
        self.inputs: list[Tensor | None] = [None] * size
        self.done = [Signal() for _ in range(size)]
        self.ended = 0
        self.result: Tensor | None = None
        self._rounds, self._schedule, self._send, self._end = rounds, schedule, send, end
        self._begun = [False] * size
        self._round = [0] * size
        self._sent = [-1] * size  # last round whose message has been sent
        self._received: list[set[int]] = [set() for _ in range(size)]  # rounds whose message is there, but not used

    def waits_for(self, rank: int) -> tuple[int, ...]:
        """The rank from which `rank` is to receive next."""
        if self._round[rank] == self._rounds:
            return ()
        source = self._schedule(rank, self._round[rank]).source
        return () if source is None else (source,)

    def begin(self, rank: int) -> None:
        """Let `rank` take part from now on."""
        self._begun[rank] = True
        self._advance(rank)

    def _advance(self, rank: int) -> None:
        while (k := self._round[rank]) < self._rounds:
            target, nbytes, source = self._schedule(rank, k)
            if self._sent[rank] < k:
                self._sent[rank] = k
                if target is not None:
                    self._send(rank, target, nbytes, self.arrived, (target, k))
            if source is not None:
                if k not in self._received[rank]:
                    return
                self._received[rank].remove(k)
            self._round[rank] = k + 1
        self._end(rank)

    def arrived(self, message: tuple[int, int]) -> None:
        """Note that a rank has what a round was to bring it."""
        rank, k = message
        self._received[rank].add(k)
        if self._begun[rank] and self._round[rank] == k:
            self._advance(rank)


def chunk_bounds(elements: int, size: int) -> list[tuple[int, int]]:
    """Return the p contiguous chunks of a vector, whose lengths differ by one at most."""
    return [(elements * c // size, elements * (c + 1) // size) for c in range(size)]


def ring_mean(inputs: list[Tensor]) -> Tensor:
    """Return the mean of p vectors, each summed in the order of the ring: chunk c from rank c on to rank c - 1."""
    size, flat = len(inputs), [x.reshape(-1) for x in inputs]
    total = torch.empty_like(flat[0])
    for c, (start, stop) in enumerate(chunk_bounds(total.numel(), size)):
        part = total[start:stop].copy_(flat[c][start:stop])
        for k in range(1, size):
            part.add_(flat[(c + k) % size][start:stop])
    return total.div_(size).view_as(inputs[0])
