"""The MPI world: one process a rank, and the wall clock."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import cast

import torch
from mpi4py import MPI
from torch import Tensor

from repro.launch.mpi_env import available_cores
from repro.worlds.allreduce import Engine, HorovodEngine, MpiEngine
from repro.worlds.comm import Comm, Counters, Exchange, Pending, Window, mix_, ring_allreduce_bytes
from repro.worlds.errors import CommTimeout
from repro.worlds.shared_slots import Incoming, SharedSlots

_SPIN_S = 100e-6
_NAP_S = 20e-6


class MpiComm(Comm):
    """A Comm over mpi4py: buffers, never pickled tensors.

    Args:
        communicator: the ranks; the algorithm gets duplicates of it, so nothing else can take its messages.
        capacity: length d of the vectors exchanged on one node through shared memory; longer ones are sent.
        allreduce: `horovod` or `mpi`, started here so that its start is not on the clock; None where the algorithm
            does not reduce, since a live Horovod slows everything else.
        shared_memory: whether ranks of one node exchange through shared memory.
        timeout_s: the longest a call may wait.
    """

    def __init__(
        self,
        communicator: MPI.Intracomm,
        capacity: int,
        *,
        allreduce: str | None = None,
        shared_memory: bool = True,
        timeout_s: float = 600.0,
    ) -> None:
        self.rank, self.size = communicator.rank, communicator.size
        self.counters = Counters()
        self._timeout_s = timeout_s
        self._messages = communicator.Dup()
        self._collective = communicator.Dup()
        self._node = cast(MPI.Intracomm, communicator.Split_type(MPI.COMM_TYPE_SHARED))
        # with a core for each rank, a short spin answers fastest; otherwise it takes the core from who is waited for
        self._spin_s = _SPIN_S if self._node.size <= available_cores() else 0.0
        self._node_rank: dict[int, int] = {}
        self._slots: SharedSlots | None = None
        if shared_memory and self._node.size > 1:
            self._node_rank = {rank: index for index, rank in enumerate(self._node.allgather(self.rank))}
            self._slots = SharedSlots(self._node, capacity, self._wait_for)
        self._inboxes: dict[tuple[int, torch.dtype], list[Tensor]] = {}
        self._plain: Engine = MpiEngine(self._collective, self._wait_for)
        self._engine: Engine = HorovodEngine(communicator) if allreduce == "horovod" else self._plain
        self.engine = self._engine.name if allreduce else "none"
        self._windows: list[MpiWindow] = []
        self.start_clock()

    # -- the clock

    def start_clock(self) -> None:
        """Begin: wait for all ranks, then set clock and counters to zero."""
        self.barrier()
        self.counters = Counters()
        self._zero = time.perf_counter()

    def now(self) -> float:
        return time.perf_counter() - self._zero

    @contextmanager
    def off_the_clock(self) -> Iterator[None]:
        start, kept, engine = time.perf_counter(), copy(self.counters), self._engine
        self._engine = self._plain
        try:
            yield
        finally:
            self.counters, self._engine = kept, engine
            self._zero += time.perf_counter() - start

    # -- pairs

    def exchange(self, x: Tensor, peers: Sequence[int]) -> "MpiExchange":
        self._count(len(peers), len(peers) * _bytes(x), len(peers) * _bytes(x))
        return MpiExchange(self, x, list(peers))

    def isend(self, x: Tensor, peer: int, tag: int = 0) -> Pending:
        self._count(1, _bytes(x), 0)
        request = self._messages.Isend(x.numpy(), peer, tag + 1)
        return MpiPending(self, request, f"rank {peer} to take a message, tag {tag}")

    def irecv(self, out: Tensor, peer: int, tag: int = 0) -> Pending:
        self._count(0, 0, _bytes(out))
        request = self._messages.Irecv(out.numpy(), peer, tag + 1)
        return MpiPending(self, request, f"a message of rank {peer}, tag {tag}")

    # -- all

    def iallreduce_mean(self, x: Tensor) -> Pending:
        nbytes = ring_allreduce_bytes(self.size, x)
        self._count(2 * (self.size - 1), nbytes, nbytes)
        return _Timed(self, self._engine.start(x))

    def allgather(self, x: Tensor) -> Tensor:
        self._count(self.size - 1, (self.size - 1) * _bytes(x), (self.size - 1) * _bytes(x))
        out = x.new_empty((self.size, *x.shape))
        self._wait_for(self._collective.Iallgather(x.numpy(), out.numpy()), "all ranks, in an all-gather")
        return out

    def broadcast(self, x: Tensor, root: int) -> None:
        sent = (self.size - 1) * _bytes(x) if self.rank == root else 0
        self._count(self.size - 1 if sent else 0, sent, 0 if self.rank == root else _bytes(x))
        self._wait_for(self._collective.Ibcast(x.numpy(), root), f"rank {root}, in a broadcast")

    def barrier(self) -> None:
        self._wait_for(self._collective.Ibarrier(), "all ranks, in a barrier")

    def window(self, x: Tensor) -> "MpiWindow":
        window = MpiWindow(self, x)
        self._windows.append(window)
        return window

    def close(self) -> None:
        """Free what was opened; all ranks call this."""
        for window in self._windows:
            window.close()
        if self._slots is not None:
            self._slots.close()
        self._engine.close()

    # -- shared by the parts of this world

    def _count(self, messages: int, bytes_sent: int, bytes_received: int) -> None:
        self.counters.messages += messages
        self.counters.bytes_sent += bytes_sent
        self.counters.bytes_received += bytes_received

    def _wait_for(self, request: MPI.Request, what: str) -> None:
        if request.Test():
            return
        start = time.perf_counter()
        while not request.Test():
            waited = time.perf_counter() - start
            if waited > self._timeout_s:
                raise CommTimeout(f"rank {self.rank} has waited {waited:.0f} s for {what}")
            if waited > self._spin_s:
                time.sleep(_NAP_S)
            else:
                os.sched_yield()  # should both have been put on one core
        self.counters.wait_s += time.perf_counter() - start

    def _inbox(self, x: Tensor) -> Tensor:
        free = self._inboxes.setdefault((x.numel(), x.dtype), [])
        return free.pop() if free else torch.empty_like(x)

    def _give_back(self, inbox: Tensor) -> None:
        self._inboxes[inbox.numel(), inbox.dtype].append(inbox)


class MpiPending(Pending):
    """A request of the MPI library."""

    def __init__(self, comm: MpiComm, request: MPI.Request, what: str) -> None:
        self._comm, self._request, self._what = comm, request, what

    def wait(self) -> None:
        self._comm._wait_for(self._request, self._what)


class _Timed(Pending):
    """Counts the time an engine waits by itself."""

    def __init__(self, comm: MpiComm, inner: Pending) -> None:
        self._comm, self._inner = comm, inner

    def wait(self) -> None:
        start, before = time.perf_counter(), self._comm.counters.wait_s
        self._inner.wait()
        self._comm.counters.wait_s = before + time.perf_counter() - start


class MpiExchange(Exchange):
    """Through shared memory with peers of the same node, by messages with the others."""

    def __init__(self, comm: MpiComm, x: Tensor, peers: list[int]) -> None:
        self._comm, self._x, self._peers = comm, x, peers
        slots = comm._slots
        near = [p for p in peers if p in comm._node_rank] if slots is not None and slots.fits(x) else []
        self._shared: dict[int, Incoming] = {}
        if slots is not None and near:
            incoming = slots.publish(x, [comm._node_rank[p] for p in near])
            self._shared = dict(zip(near, incoming, strict=True))
        far = [p for p in peers if p not in self._shared]
        self._inboxes = {p: comm._inbox(x) for p in far}
        self._receives = {p: comm._messages.Irecv(self._inboxes[p].numpy(), p, 0) for p in far}
        self._sends = {p: comm._messages.Isend(x.numpy(), p, 0) for p in far}

    def mix(self, weights: Sequence[float]) -> None:
        mix_(self._x, self._arrived(), weights, sum(p < self._comm.rank for p in self._peers))
        self._release()

    def wait(self) -> list[Tensor]:
        copies = [vector.clone() for vector in self._arrived()]
        self._release()
        return copies

    def _arrived(self) -> list[Tensor]:
        for peer, send in self._sends.items():
            self._comm._wait_for(send, f"rank {peer} to take this rank's vector, in an exchange")
        for peer, receive in self._receives.items():
            self._comm._wait_for(receive, f"the vector of rank {peer}, in an exchange")
        shared = {p: i.wait(f"the vector of rank {p}, in an exchange") for p, i in self._shared.items()}
        return [shared[p] if p in shared else self._inboxes[p] for p in self._peers]

    def _release(self) -> None:
        for incoming in self._shared.values():
            incoming.done()
        for inbox in self._inboxes.values():
            self._comm._give_back(inbox)


class MpiWindow(Window):
    """An MPI window of float32 under passive-target synchronisation."""

    def __init__(self, comm: MpiComm, x: Tensor) -> None:
        self._comm = comm
        self._window = MPI.Win.Allocate(_bytes(x), x.element_size(), comm=comm._collective)
        self.local = torch.frombuffer(self._window.tomemory(), dtype=x.dtype)
        with self.lock(comm.rank):
            self.local.copy_(x)
        comm.barrier()

    @contextmanager
    def lock(self, rank: int, *, shared: bool = False) -> Iterator[None]:
        start = time.perf_counter()
        self._window.Lock(rank, MPI.LOCK_SHARED if shared else MPI.LOCK_EXCLUSIVE)
        self._comm.counters.wait_s += time.perf_counter() - start
        try:
            yield
        finally:
            self._window.Unlock(rank)

    def get(self, rank: int, out: Tensor, offset: int = 0) -> None:
        self._comm._count(1, 0, _bytes(out))
        self._window.Get(out.numpy(), rank, (offset, out.numel()))

    def put(self, rank: int, x: Tensor, offset: int = 0) -> None:
        self._comm._count(1, _bytes(x), 0)
        self._window.Put(x.numpy(), rank, (offset, x.numel()))

    def accumulate(self, rank: int, x: Tensor, offset: int = 0) -> None:
        self._comm._count(1, _bytes(x), 0)
        self._window.Accumulate(x.numpy(), rank, (offset, x.numel()), MPI.SUM)

    def flush(self, rank: int) -> None:
        self._window.Flush(rank)

    def close(self) -> None:
        """Free the window; all ranks call this."""
        self._window.Free()


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()
