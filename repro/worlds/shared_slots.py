"""Vectors that the ranks of one node hand to each other through shared memory."""

import numpy as np
import torch
from mpi4py import MPI
from torch import Tensor

from repro.worlds.watchdog import WaitFor

_READY, _DONE = 0, 1  # _DONE + slot says which slot was read
SLOTS = 2
"""One slot is filled for the next exchange while peers may still read the last."""


class SharedSlots:
    """An MPI shared window with two slots a rank.

    A rank copies its vector into one of its slots and tells its peers by a small message, which also orders the
    memory accesses; they read it in place and tell when they are done. So a vector crosses memory once to be published
    and once to be mixed, instead of through the pipes of a message.

    Args:
        names: what to call the ranks of `node` when somebody waits for them: their ranks in the Comm.
    """

    def __init__(self, node: MPI.Intracomm, names: list[int], capacity: int, wait_for: WaitFor) -> None:
        self.capacity = capacity
        self._names = names
        self._wait_for = wait_for
        self._control: MPI.Intracomm = node.Dup()
        self._window = MPI.Win.Allocate_shared(SLOTS * capacity * 4, 4, comm=self._control)
        self._window.Lock_all(MPI.MODE_NOCHECK)  # an epoch that lasts, so that Sync may order memory
        self._slots = [self._slots_of(rank) for rank in range(node.size)]
        self._own = self._slots[node.rank]
        self._next = 0
        self._readers: list[dict[int, MPI.Request]] = [{} for _ in range(SLOTS)]

    def fits(self, x: Tensor) -> bool:
        """Whether x can be published."""
        return x.dtype == torch.float32 and x.numel() <= self.capacity

    def publish(self, x: Tensor, peers: list[int]) -> list["Incoming"]:
        """Copy x, shape (d,), where `peers` (ranks of the node) can read it; return where theirs will appear."""
        slot, self._next = self._next, (self._next + 1) % SLOTS
        self._wait_for_readers(slot)
        self._own[slot, : x.numel()].copy_(x)
        self._window.Sync()
        message = np.array([slot], dtype=np.int64)
        incoming = []
        self._readers[slot] = {}
        for peer in peers:
            self._control.Send(message, peer, _READY)  # eight bytes: leaves at once
            self._readers[slot][peer] = self._control.Irecv(bytearray(0), peer, _DONE + slot)
            which = np.empty(1, dtype=np.int64)
            incoming.append(Incoming(self, peer, x.numel(), self._control.Irecv(which, peer, _READY), which))
        return incoming

    def close(self) -> None:
        """Free the window; all ranks of the node call this."""
        for slot in range(SLOTS):
            self._wait_for_readers(slot)
        self._window.Unlock_all()
        self._window.Free()
        self._control.Free()

    def _wait_for_readers(self, slot: int) -> None:
        for peer, reader in self._readers[slot].items():
            self._wait_for(reader, "rank {peer} to finish an exchange", self._names[peer])

    def _slots_of(self, rank: int) -> Tensor:
        memory, _ = self._window.Shared_query(rank)
        return torch.frombuffer(memory, dtype=torch.float32).view(SLOTS, self.capacity)


class Incoming:
    """A peer's vector that is, or soon will be, in its slot."""

    def __init__(self, slots: SharedSlots, peer: int, size: int, ready: MPI.Request, which: np.ndarray) -> None:
        self._slots, self._peer, self._size = slots, peer, size
        self._ready, self._which = ready, which

    def wait(self) -> Tensor:
        """Return the peer's vector, in place: read it, then call `done`."""
        slots = self._slots
        slots._wait_for(self._ready, "the vector of rank {peer}, in an exchange", slots._names[self._peer])
        slots._window.Sync()
        return slots._slots[self._peer][int(self._which[0]), : self._size]

    def done(self) -> None:
        """Let the peer use its slot again."""
        self._slots._control.Send(bytearray(0), self._peer, _DONE + int(self._which[0]))
