"""One-sided windows of the simulated world."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import Tensor

from repro.worlds.comm import Window, nbytes
from repro.worlds.events import Signal
from repro.worlds.waiting import Waiting

if TYPE_CHECKING:
    from repro.worlds.simulated import SimulatedComm

Request = tuple[int, bool, Callable[[], None]]
"""Who asks for the lock, whether shared, and what to call when it is granted."""


class LockQueue:
    """One rank's memory in a window, and its lock: granted in the order of the requests, or in that of `order`."""

    memory: Tensor

    def __init__(self, order: deque[int] | None) -> None:
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

    def _grant(self) -> None:
        while (request := self._next()) is not None:
            rank, shared, grant = request
            self._holders[rank] = shared
            grant()

    def _next(self) -> Request | None:
        if self._order is not None:  # one at a time, whoever's turn it is
            turn = [request for request in self._requests if self._order and request[0] == self._order[0]]
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
        self._under_way: dict[int, list[Signal]] = {}

    @contextmanager
    def lock(self, rank: int, *, shared: bool = False) -> Iterator[None]:
        comm, queue = self._comm, self._queues[rank]
        granted = Signal()

        def grant() -> None:
            comm.signal(rank, comm.rank, comm.simulation.fire, granted)

        comm.signal(comm.rank, rank, queue.request, (comm.rank, shared, grant))
        comm.wait(granted, Waiting(f"the lock of rank {rank}'s window, which rank {{}} has", queue.holders))
        try:
            yield
        finally:
            self.flush(rank)
            comm.signal(comm.rank, rank, queue.release, comm.rank)

    def get(self, rank: int, out: Tensor, offset: int = 0) -> None:
        comm, memory = self._comm, self._queues[rank].memory
        comm.count(1, 0, nbytes(out))
        complete = self._start(rank)

        def read(_: None) -> None:
            vector = memory[offset : offset + out.numel()].clone()
            comm.send(rank, comm.rank, nbytes(out), arrived, vector)

        def arrived(vector: Tensor) -> None:
            out.copy_(vector)
            comm.simulation.fire(complete)

        comm.signal(comm.rank, rank, read, None)

    def put(self, rank: int, x: Tensor, offset: int = 0) -> None:
        memory = self._queues[rank].memory
        self._write(rank, x, lambda vector: memory[offset : offset + vector.numel()].copy_(vector))

    def accumulate(self, rank: int, x: Tensor, offset: int = 0) -> None:
        memory = self._queues[rank].memory
        self._write(rank, x, lambda vector: memory[offset : offset + vector.numel()].add_(vector))

    def flush(self, rank: int) -> None:
        for complete in self._under_way.pop(rank, ()):
            self._comm.wait(complete, Waiting("its operations on the window of rank {}", (rank,)))

    def _write(self, rank: int, x: Tensor, change: Callable[[Tensor], object]) -> None:
        comm = self._comm
        comm.count(1, nbytes(x), 0)
        complete = self._start(rank)

        def arrived(vector: Tensor) -> None:
            change(vector)
            comm.signal(rank, comm.rank, comm.simulation.fire, complete)

        comm.send(comm.rank, rank, nbytes(x), arrived, x.clone())

    def _start(self, rank: int) -> Signal:
        complete = Signal()
        self._under_way.setdefault(rank, []).append(complete)
        return complete
