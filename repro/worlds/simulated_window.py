"""One-sided windows of the simulated world."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from repro.worlds.comm import Window, nbytes
from repro.worlds.events import Signal

if TYPE_CHECKING:
    from repro.worlds.simulated import SimulatedComm

Request = tuple["SimulatedComm", bool, Signal]
"""Who asks for the lock, whether shared, and what is to happen when it is granted."""


class LockQueue:
    """One rank's memory in a window, and its lock: granted in the order of the requests, or in that of `order`."""

    state: ClassVar[tuple[str, ...]] = ("_holders", "_requests")
    memory: Tensor

    def __init__(self, rank: int, order: deque[int] | None) -> None:
        self.rank = rank
        self._order = order
        self._holders: dict[int, bool] = {}  # rank -> whether shared
        self._requests: deque[Request] = deque()

    def holders(self) -> tuple[int, ...]:
        """Return who has the lock, or else whose turn it is."""
        return tuple(self._holders) or tuple(self._order or ())[:1]

    def request(self, request: Request) -> None:
        """Ask for the lock."""
        self._requests.append(request)
        self._grant()

    def release(self, rank: int) -> None:
        """Give the lock back."""
        del self._holders[rank]
        self._grant()

    def read(self, request: tuple["SimulatedComm", int, int, Signal]) -> None:
        """Send a part of the memory to a rank that gets it."""
        comm, start, stop, arrived = request
        vector = self.memory[start:stop].clone()
        comm.send(self.rank, comm.rank, nbytes(vector), comm.simulation.bring, (arrived, vector))

    def write(self, request: tuple["SimulatedComm", Tensor, int, bool, Signal]) -> None:
        """Write what a rank has put here, or add it."""
        comm, vector, offset, adds, complete = request
        part = self.memory[offset : offset + vector.numel()]
        part.add_(vector) if adds else part.copy_(vector)
        comm.signal(self.rank, comm.rank, comm.simulation.fire, complete)

    def _grant(self) -> None:
        while (request := self._next()) is not None:
            comm, shared, granted = request
            self._holders[comm.rank] = shared
            comm.signal(self.rank, comm.rank, comm.simulation.fire, granted)

    def _next(self) -> Request | None:
        if self._order is not None:  # one at a time, whoever's turn it is
            turn = [request for request in self._requests if self._order and request[0].rank == self._order[0]]
            if self._holders or not turn:
                return None
            self._order.popleft()
            self._requests.remove(turn[0])
            return turn[0]
        if not self._requests or (self._holders and not (self._requests[0][1] and all(self._holders.values()))):
            return None
        return self._requests.popleft()


class SimulatedWindow(Window):
    """A request for a lock, its grant, a request to read and a release take the network's latency; vectors take the
    ports, as all others do.

    A get reads the target when the request is there; a put or an accumulate changes it when all of it is there, and is
    known to be complete one latency later.
    """

    def __init__(self, comm: "SimulatedComm", queues: list[LockQueue]) -> None:
        self._comm, self._queues = comm, queues
        self.local = queues[comm.rank].memory
        self._under_way: dict[int, list[tuple[Signal, Tensor | None]]] = {}  # with where to write what a get brings

    @contextmanager
    def lock(self, rank: int, *, shared: bool = False) -> Iterator[None]:
        comm = self._comm
        granted = self._ask(rank, shared)
        comm.wait(granted, f"the lock of rank {rank}'s window, which rank {{}} has", self._queues[rank].holders)
        self._look(rank)
        try:
            yield
        finally:
            self.flush(rank)
            self._release(rank)

    def get(self, rank: int, out: Tensor, offset: int = 0) -> None:
        self._start(rank, self._get(rank, out, offset), out)

    def put(self, rank: int, x: Tensor, offset: int = 0) -> None:
        self._start(rank, self._write(rank, x, offset, False))

    def accumulate(self, rank: int, x: Tensor, offset: int = 0) -> None:
        self._start(rank, self._write(rank, x, offset, True))

    def flush(self, rank: int) -> None:
        under_way = self._under_way.pop(rank, ())
        for complete, out in under_way:
            vector = self._comm.wait(complete, "its operations on the window of rank {}", (rank,))
            if out is not None:
                out.copy_(vector)
        if under_way:
            self._look(rank)

    def _look(self, rank: int) -> None:
        """Take note that the program may look at `local` from now on, where the rank is its own."""

    def _start(self, rank: int, complete: Signal, out: Tensor | None = None) -> None:
        self._under_way.setdefault(rank, []).append((complete, out))

    # -- what the world does

    def _ask(self, rank: int, shared: bool) -> Signal:
        comm, granted = self._comm, Signal()
        comm.signal(comm.rank, rank, self._queues[rank].request, (comm, shared, granted))
        return granted

    def _release(self, rank: int) -> None:
        self._comm.signal(self._comm.rank, rank, self._queues[rank].release, self._comm.rank)

    def _get(self, rank: int, out: Tensor, offset: int) -> Signal:
        comm, arrived = self._comm, Signal()
        comm.count(1, 0, nbytes(out))
        comm.signal(comm.rank, rank, self._queues[rank].read, (comm, offset, offset + out.numel(), arrived))
        return arrived

    def _write(self, rank: int, x: Tensor, offset: int, adds: bool) -> Signal:
        comm, complete = self._comm, Signal()
        comm.count(1, nbytes(x), 0)
        comm.send(comm.rank, rank, nbytes(x), self._queues[rank].write, (comm, x.clone(), offset, adds, complete))
        return complete
