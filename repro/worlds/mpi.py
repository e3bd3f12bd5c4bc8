"""The MPI world: one process a rank, and the wall clock."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from typing import NoReturn, cast

import numpy as np
import torch
from mpi4py import MPI
from torch import Tensor

from repro.launch.mpi_env import available_cores
from repro.worlds.allreduce import Engine, HorovodEngine, MpiEngine
from repro.worlds.comm import Comm, Counters, Exchange, Pending, RankLost, Window, mix_, nbytes, ring_allreduce_bytes
from repro.worlds.order import LockOrder
from repro.worlds.shared_slots import Incoming, SharedSlots
from repro.worlds.watchdog import TIMEOUT_S, Watchdog

_SPIN_S = 100e-6
_NAP_S = 20e-6


class MpiComm(Comm):
    """A Comm over mpi4py: buffers, never pickled tensors.

    Args:
        communicator: the ranks; the algorithm gets duplicates of it, so nothing else can take its messages.
        capacity: length d of the vectors exchanged on one node through shared memory; longer ones are sent.
        allreduce: `horovod` or `mpi`, started here so that its start is not on the clock; None where the algorithm
            does not reduce, since a live Horovod slows everything else.
        shared_memory: whether ranks of one node exchange through shared memory, and, where all are on one node, work
            on each other's windows there.
        timeout_s: how long ranks may wait while nothing moves; then a report is printed and MPI is aborted.
        log_locks: whether to log who held which window's locks in which order; shared locks are exclusive then.
    """

    def __init__(
        self,
        communicator: MPI.Intracomm,
        capacity: int,
        *,
        allreduce: str | None = None,
        shared_memory: bool = True,
        timeout_s: float = TIMEOUT_S,
        log_locks: bool = False,
    ) -> None:
        self.rank, self.size = communicator.rank, communicator.size
        self.lost: dict[int, int] = {}
        self.counters = Counters()
        self._watchdog = Watchdog(self, communicator, timeout_s)
        self._watchdog.begin("all ranks, in the opening of a Comm")
        self._messages = communicator.Dup()
        self._collective = communicator.Dup()
        self._node = cast(MPI.Intracomm, communicator.Split_type(MPI.COMM_TYPE_SHARED))
        # with a core for each rank, a short spin answers fastest; otherwise it takes the core from who is waited for
        self._spin_s = _SPIN_S if self._node.size <= available_cores() else 0.0
        self._windows_at_hand = shared_memory and self._node.size == self.size
        self._node_rank: dict[int, int] = {}
        self._slots: SharedSlots | None = None
        if shared_memory and self._node.size > 1:
            ranks = self._node.allgather(self.rank)
            self._node_rank = {rank: index for index, rank in enumerate(ranks)}
            self._slots = SharedSlots(self._node, ranks, capacity, self._wait_for)
        self._watchdog.end()
        self._inboxes: dict[tuple[int, torch.dtype], list[Tensor]] = {}
        self._plain: Engine = MpiEngine(self._collective, self._wait_for)
        self._engine: Engine = HorovodEngine(communicator, self._watchdog) if allreduce == "horovod" else self._plain
        self.engine = self._engine.name if allreduce else "none"
        self._windows: list[MpiWindow] = []
        self._log_locks = log_locks
        self.start_clock()

    # -- the clock

    def start_clock(self, at_s: float = 0.0, counters: Counters | None = None) -> None:
        """Begin, or go on from what clock and counters showed: wait for all ranks, then set them."""
        self.barrier()
        self.counters = counters or Counters()
        self._zero = time.perf_counter() - at_s

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
        self._count(len(peers), len(peers) * nbytes(x), len(peers) * nbytes(x))
        return MpiExchange(self, x, list(peers))

    def isend(self, x: Tensor, peer: int, tag: int = 0) -> Pending:
        self._count(1, nbytes(x), 0)
        request = self._messages.Isend(x.numpy(), peer, tag + 1)
        return MpiPending(self, request, "rank {peer} to take a message, tag {tag}", peer, tag)

    def irecv(self, out: Tensor, peer: int, tag: int = 0) -> Pending:
        self._count(0, 0, nbytes(out))
        request = self._messages.Irecv(out.numpy(), peer, tag + 1)
        return MpiPending(self, request, "a message of rank {peer}, tag {tag}", peer, tag)

    # -- all

    def iallreduce_mean(self, x: Tensor) -> Pending:
        sent = ring_allreduce_bytes(self.size, x)
        self._count(2 * (self.size - 1), sent, sent)
        return _Timed(self, self._engine.start(x))

    def allgather(self, x: Tensor) -> Tensor:
        self._count(self.size - 1, (self.size - 1) * nbytes(x), (self.size - 1) * nbytes(x))
        out = x.new_empty((self.size, *x.shape))
        self._wait_for(self._collective.Iallgather(x.numpy(), out.numpy()), "all ranks, in an all-gather")
        return out

    def broadcast(self, x: Tensor, root: int) -> None:
        sent = (self.size - 1) * nbytes(x) if self.rank == root else 0
        self._count(self.size - 1 if sent else 0, sent, 0 if self.rank == root else nbytes(x))
        self._wait_for(self._collective.Ibcast(x.numpy(), root), f"all ranks, in a broadcast of rank {root}")

    def barrier(self) -> None:
        self._wait_for(self._collective.Ibarrier(), "all ranks, in a barrier")

    def window(self, x: Tensor) -> "MpiWindow":
        window = MpiWindow(self, x, len(self._windows), logs=self._log_locks)
        self._windows.append(window)
        return window

    def lock_order(self) -> LockOrder:
        """Return who held which lock in which order so far, the same on all ranks; all ranks call this.

        The Comm must have been made with `log_locks`.
        """
        own = [(window.number, target, ticket) for window in self._windows for target, ticket in window.log]
        self._watchdog.begin("all ranks, in the gathering of the order of locks")
        logs = self._collective.allgather(own)
        self._watchdog.end()
        entries = sorted((*entry, origin) for origin, log in enumerate(logs) for entry in log)
        order = LockOrder()
        for window, target, _, origin in entries:
            order.origins.setdefault((window, target), []).append(origin)
        return order

    def survivors(self) -> MPI.Intracomm:
        """Return a communicator of the ranks that live; these call this when they have come to their end.

        Afterwards `lost` has all that have died.
        """
        others = [rank for rank in range(self.size) if rank != self.rank]
        requests = [(rank, self._collective.Irecv(bytearray(1), rank)) for rank in others]
        requests += [(rank, self._collective.Isend(bytearray(1), rank)) for rank in others]
        for rank, request in requests:  # a shrink waits for all, too, but would take the core of those that compute
            with suppress(RankLost):
                self._wait_for(request, "rank {peer} to come to its end", rank)
        self._watchdog.begin("all ranks that live, at the end of the run")
        living = cast(MPI.Intracomm, self._collective.Shrink())
        self._watchdog.end()
        ranks = MPI.Group.Translate_ranks(living.group, None, self._collective.group)
        for rank in set(others).difference(ranks):
            self.lost.setdefault(rank, self.step)
        return living

    def close(self) -> None:
        """Free what was opened; all ranks call this, those that live after `survivors`."""
        if not self.lost:
            self._wait_for(self._collective.Ibarrier(), "all ranks, at the end of the run")
        for window in self._windows:
            window.close()
        if self._slots is not None:
            self._slots.close()
        self._engine.close()
        self._watchdog.stop()  # last: until here it answers those who still wait

    # -- shared by the parts of this world

    def _count(self, messages: int, bytes_sent: int, bytes_received: int) -> None:
        self.counters.messages += messages
        self.counters.bytes_sent += bytes_sent
        self.counters.bytes_received += bytes_received

    def _wait_for(self, request: MPI.Request, text: str, peer: int | None = None, tag: int | None = None) -> None:
        self._watchdog.operation = text, peer, tag
        try:
            if request.Test():
                return
            start = self._watchdog.begin(text, peer, tag)
            while not request.Test():
                if time.perf_counter() - start > self._spin_s:
                    time.sleep(_NAP_S)
                else:
                    os.sched_yield()  # should both have been put on one core
        except MPI.Exception as error:
            self._watchdog.end()
            if error.Get_error_class() != MPI.ERR_PROC_FAILED:
                raise
            if peer is not None:
                self.lost.setdefault(peer, self.step)
            raise RankLost(f"it waited for {text.format(peer=peer, tag=tag)}, and a rank has died") from None
        self._watchdog.end()
        self.counters.wait_s += time.perf_counter() - start

    def _inbox(self, x: Tensor) -> Tensor:
        free = self._inboxes.setdefault((x.numel(), x.dtype), [])
        return free.pop() if free else torch.empty_like(x)

    def _give_back(self, inbox: Tensor) -> None:
        self._inboxes[inbox.numel(), inbox.dtype].append(inbox)


def die() -> NoReturn:
    """End this rank, and no other, in a run that goes on without those that have died.

    By a signal: Open MPI takes another end without MPI_Finalize for the end of all; and in MPI_Finalize some ranks wait
    for ever, now and then, where one has died (seen with 5.0.11).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a killed process goes on")


class MpiPending(Pending):
    """A request of the MPI library."""

    def __init__(self, comm: MpiComm, request: MPI.Request, text: str, peer: int, tag: int) -> None:
        self._comm, self._request, self._about = comm, request, (text, peer, tag)

    def wait(self) -> None:
        self._comm._wait_for(self._request, *self._about)


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
            self._comm._wait_for(send, "rank {peer} to take a vector, in an exchange", peer)
        for peer, receive in self._receives.items():
            self._comm._wait_for(receive, "the vector of rank {peer}, in an exchange", peer)
        shared = {p: i.wait() for p, i in self._shared.items()}
        return [shared[p] if p in shared else self._inboxes[p] for p in self._peers]

    def _release(self) -> None:
        for incoming in self._shared.values():
            incoming.done()
        for inbox in self._inboxes.values():
            self._comm._give_back(inbox)


class MpiWindow(Window):
    """An MPI window of floats under passive-target synchronisation.

    With `logs`, every lock is exclusive and draws a ticket of its target, a counter that lies behind the vector.

    Attributes:
        number: how many windows the Comm had opened before.
        log: the locks this rank has held, as (target, ticket).
    """

    def __init__(self, comm: MpiComm, x: Tensor, number: int, *, logs: bool) -> None:
        self._comm, self._watchdog = comm, comm._watchdog
        self.number = number
        self.log: list[tuple[int, int]] = []
        self._written: dict[int, list[Tensor]] = {}  # what MPI may still read from, by target
        self._lock_text = f"the lock of rank {{peer}}, window {number}"
        counter = -(-nbytes(x) // 8) * 8  # after the vector, where an int64 may lie
        self._counter = counter // x.element_size(), 1, MPI.INT64_T
        self._watchdog.begin(f"all ranks, in the opening of window {number}")
        size = counter + 8 if logs else nbytes(x)
        allocate = MPI.Win.Allocate_shared if comm._windows_at_hand else MPI.Win.Allocate
        info = MPI.Info.Create({"alloc_shared_noncontig": "true"})  # every vector begins where any type may
        self._window = allocate(size, x.element_size(), info, comm._collective)
        info.Free()
        self._watchdog.end()
        self._at_hand: list[Tensor] = []
        if comm._windows_at_hand:
            memories = [self._window.Shared_query(rank)[0] for rank in range(comm.size)]
            self._at_hand = [torch.frombuffer(memory, dtype=x.dtype, count=x.numel()) for memory in memories]
        memory = self._window.tomemory()
        self.local = torch.frombuffer(memory, dtype=x.dtype, count=x.numel())
        self._logs = False
        with self.lock(comm.rank):  # this one is not logged
            memory[nbytes(x) :] = bytes(size - nbytes(x))
            self.local.copy_(x)
        self._logs = logs
        comm.barrier()

    @contextmanager
    def lock(self, rank: int, *, shared: bool = False) -> Iterator[None]:
        start = self._watchdog.begin(self._lock_text, rank, window=self.number)
        self._window.Lock(rank, MPI.LOCK_SHARED if shared and not self._logs else MPI.LOCK_EXCLUSIVE)
        self._watchdog.end()
        self._comm.counters.wait_s += time.perf_counter() - start
        self._watchdog.held.append((self.number, rank))
        if self._logs:
            self._draw_ticket(rank)
        self._window.Sync()  # what others have stored in memory at hand is seen here
        try:
            yield
        finally:
            self._window.Sync()  # and what is stored here, by them
            self._watchdog.begin("rank {peer}, in an unlock", rank)
            self._window.Unlock(rank)
            self._watchdog.end()
            self._written.pop(rank, None)
            self._watchdog.held.remove((self.number, rank))

    def _draw_ticket(self, rank: int) -> None:
        ticket = np.empty(1, dtype=np.int64)
        self._window.Get(ticket, rank, self._counter)
        self._window.Flush(rank)
        self.log.append((rank, int(ticket[0])))
        ticket += 1
        self._window.Put(ticket, rank, self._counter)
        self._window.Flush(rank)

    def get(self, rank: int, out: Tensor, offset: int = 0) -> None:
        self._comm._count(1, 0, nbytes(out))
        self._window.Get(out.numpy(), rank, (offset, out.numel()))

    def put(self, rank: int, x: Tensor, offset: int = 0) -> None:
        self._comm._count(1, nbytes(x), 0)
        self._written.setdefault(rank, []).append(x)
        self._window.Put(x.numpy(), rank, (offset, x.numel()))

    def accumulate(self, rank: int, x: Tensor, offset: int = 0) -> None:
        self._comm._count(1, nbytes(x), 0)
        self._written.setdefault(rank, []).append(x)
        self._window.Accumulate(x.numpy(), rank, (offset, x.numel()), MPI.SUM)

    def flush(self, rank: int) -> None:
        self._watchdog.begin("rank {peer}, in a flush", rank)
        self._window.Flush(rank)
        self._watchdog.end()
        self._written.pop(rank, None)

    def modify(self, rank: int, change: Callable[[Tensor], object]) -> None:
        if self._at_hand:
            vector = self._at_hand[rank]  # under its lock, as `local` is under this rank's
            self._comm._count(2, nbytes(vector), nbytes(vector))
            change(vector)
            return
        vector = self._comm._inbox(self.local)  # kept for the next time: new memory would cost as much as a copy
        self.get(rank, vector)
        self.flush(rank)
        change(vector)
        self.put(rank, vector)
        self.flush(rank)
        self._comm._give_back(vector)

    def close(self) -> None:
        """Free the window; all ranks call this."""
        self._window.Free()
