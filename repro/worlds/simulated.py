"""The simulated world: all ranks in one process, real messages between them, and virtual time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from repro.worlds.collectives import (
    BinomialBroadcast,
    Collective,
    DisseminationBarrier,
    RingAllgather,
    RingAllreduce,
    Schedule,
    chunk_bounds,
    ring_mean,
)
from repro.worlds.comm import Comm, Counters, Exchange, Pending, Window, mix_, nbytes, ring_allreduce_bytes
from repro.worlds.events import Signal, Simulation
from repro.worlds.network import Arrival, Network
from repro.worlds.order import LockOrder
from repro.worlds.platform import Platform
from repro.worlds.simulated_window import LockQueue, SimulatedWindow
from repro.worlds.waiting import Ranks, Waiting

T = TypeVar("T")
_EXCHANGE = "the vector of rank {}, in an exchange"
EXCHANGE = -1
"""Tag of exchanges, which no message of an algorithm has."""


class SimulatedWorld:
    """Ranks as programs of one simulation.

    Args:
        size: number of ranks.
        platform: the machine they run on.
        message_scale: by how much the model whose messages are timed is larger than the one that is trained.
        replay: an order of locks, logged by the MPI world, in which windows grant theirs.

    Attributes:
        comms: one Comm a rank.
    """

    state: ClassVar[tuple[str, ...]] = ("collectives",)

    def __init__(
        self, size: int, platform: Platform, *, message_scale: float = 1.0, replay: LockOrder | None = None
    ) -> None:
        self.simulation = Simulation()
        self.platform = platform
        self.network = Network(self.simulation, platform, size)
        self.message_scale = message_scale
        self.replay = replay
        self.collectives: dict[int, Collective] = {}
        self.windows: list[list[LockQueue]] = []
        self.comms = [SimulatedComm(self, rank, size) for rank in range(size)]

    def end_of(self, rank: int) -> None:
        """Take note that `rank` is through with its oldest collective."""
        self.comms[rank].end_collective()

    def run(self, program: Callable[["SimulatedComm"], T], restore: Callable[[], None] | None = None) -> list[T]:
        """Run the program on every rank and return what each returned.

        Args:
            restore: see `Simulation.run`.

        Raises:
            Deadlock: ranks wait for each other, or for a rank that has ended.
        """
        results: list[Any] = [None] * len(self.comms)

        def start(comm: "SimulatedComm") -> Callable[[], None]:
            def run() -> None:
                results[comm.rank] = program(comm)

            return run

        for comm in self.comms:
            self.simulation.spawn(comm.rank, start(comm))
        self.simulation.run(lambda rank: self.comms[rank].step, restore)
        return results


class SimulatedComm(Comm):
    """A Comm in virtual time.

    Attributes:
        windows: this rank's, in the order of their opening.
    """

    engine = "ring, simulated"
    state: ClassVar[tuple[str, ...]] = (
        "counters", "step", "_arrived", "_posted", "_off_s", "_off", "_collectives", "_queue",
    )  # fmt: skip

    def __init__(self, world: SimulatedWorld, rank: int, size: int) -> None:
        self.world, self.rank, self.size = world, rank, size
        self.counters = Counters()
        self.simulation, self.network = world.simulation, world.network
        self._scale = world.message_scale
        # by sender and tag, and only while there are any: a rank may meet all others
        self._arrived: dict[tuple[int, int], list[Any]] = {}
        self._posted: dict[tuple[int, int], list[Signal]] = {}
        self._off_s = 0.0
        self._off = False
        self._collectives = 0  # called so far
        self._queue: deque[tuple[int, Collective]] = deque()  # those that have not ended here
        self.windows: list[SimulatedWindow] = []

    # -- the clock

    def now(self) -> float:
        return self.simulation.now - self._off_s

    @contextmanager
    def off_the_clock(self) -> Iterator[None]:
        before = self._leave_the_clock()
        try:
            yield
        finally:
            self._return_to_the_clock(before)

    # -- pairs

    def exchange(self, x: Tensor, peers: Sequence[int]) -> "SimulatedExchange":
        size = nbytes(x)
        self.count(len(peers), len(peers) * size, len(peers) * size)
        return SimulatedExchange(self, x, peers, size)

    def isend(self, x: Tensor, peer: int, tag: int = 0) -> Pending:
        self.count(1, nbytes(x), 0)
        return Sent(self, self.post(x.clone(), nbytes(x), peer, tag))

    def irecv(self, out: Tensor, peer: int, tag: int = 0) -> "Received":
        self.count(0, 0, nbytes(out))
        return Received(self, out, self.expect(peer, tag), peer, tag)

    # -- all

    def iallreduce_mean(self, x: Tensor) -> "Reduction":
        sent = ring_allreduce_bytes(self.size, x)
        self.count(2 * (self.size - 1), sent, sent)
        sizes = [(stop - start) * x.element_size() * self._scale for start, stop in chunk_bounds(x.numel(), self.size)]
        name = f"an all-reduce of {x.numel()} elements"
        return Reduction(self, x, self._collective(name, x, 2 * (self.size - 1), RingAllreduce(sizes).move))

    def allgather(self, x: Tensor) -> Tensor:
        operation = self._allgather(x)
        self.finish(operation)
        return torch.stack([_given(y) for y in operation.inputs])

    def broadcast(self, x: Tensor, root: int) -> None:
        operation = self._broadcast(x, root)
        self.finish(operation)
        if self.rank != root:
            x.copy_(_given(operation.inputs[root]))

    def barrier(self) -> None:
        self.finish(self._barrier())

    def window(self, x: Tensor) -> Window:
        number = len(self.windows)
        if number == len(self.world.windows):
            order = self.world.replay
            origins = [deque(order.origins.get((number, r), ())) if order else None for r in range(self.size)]
            self.world.windows.append([LockQueue(rank, origin) for rank, origin in enumerate(origins)])
        queues = self.world.windows[number]
        queues[self.rank].memory = x.clone()
        with self.off_the_clock():
            self.barrier()
        self.windows.append(SimulatedWindow(self, queues))
        return self.windows[number]

    # -- shared by the parts of this world

    def count(self, messages: int, bytes_sent: float, bytes_received: float) -> None:
        """Add to this rank's counters."""
        counters = self.counters
        counters.messages += messages
        counters.bytes_sent += int(bytes_sent * self._scale)
        counters.bytes_received += int(bytes_received * self._scale)

    def wait(self, signal: Signal, text: str, ranks: Ranks) -> Any:
        """Return the signal's value once it has happened, and count the time until then as waiting."""
        if signal.fired:
            return signal.value
        start = self.simulation.now
        value = self.simulation.wait(signal, Waiting(text, ranks))
        self._count_wait(start)
        return value

    def wait_until(self, time: float) -> None:
        """Return at `time`, and count the time until then as waiting."""
        if time > self.simulation.now:
            self.counters.wait_s += time - self.simulation.now
            self.simulation.sleep_until(time)

    def finish(self, operation: Collective) -> None:
        """Wait for the end of a collective at this rank."""
        done = operation.done[self.rank]
        if not done.fired:
            self.wait(done, *self._of_collective(operation))

    def clock(self) -> float:
        """Return the simulation's clock, which nothing stops."""
        return self.simulation.now

    def sleep_until(self, time: float) -> None:
        """Return when the simulation's clock shows `time`."""
        self.simulation.sleep_until(time)

    def send(self, source: int, target: int, size: float, arrival: Arrival, argument: Any) -> float:
        """Send `size` bytes for this rank, see `Network.send`; at once where it is off the clock."""
        if self._off:
            self.simulation.at(self.simulation.now, arrival, argument)
            return self.simulation.now
        return self.network.send(source, target, size * self._scale, arrival, argument)

    def signal(self, source: int, target: int, arrival: Arrival, argument: Any) -> None:
        """Send a few bytes for this rank, see `Network.signal`; at once where it is off the clock."""
        if self._off:
            self.simulation.at(self.simulation.now, arrival, argument)
        else:
            self.network.signal(source, target, arrival, argument)

    def post(self, vector: Tensor, size: float, peer: int, tag: int) -> float:
        """Send a vector, which nobody will change, to a peer, and return when all of it has left."""
        deliver = self.world.comms[peer].deliver
        return self.send(self.rank, peer, size, deliver, ((self.rank, tag), vector))

    def expect(self, peer: int, tag: int) -> Signal:
        """Return a signal that brings the next message of a peer that no earlier receive is for."""
        key, signal = (peer, tag), Signal()
        arrived = self._arrived.get(key)
        if arrived is None:
            self._posted.setdefault(key, []).append(signal)
        else:
            signal.value, signal.fired = arrived.pop(0), True
            if not arrived:
                del self._arrived[key]
        return signal

    def deliver(self, message: tuple[tuple[int, int], Any]) -> None:
        """Give a message to the oldest receive for it, or keep it until there is one."""
        key, content = message
        posted = self._posted.get(key)
        if posted is None:
            self._arrived.setdefault(key, []).append(content)
            return
        signal = posted.pop(0)
        if not posted:
            del self._posted[key]
        signal.value = content
        self.simulation.fire(signal)

    def end_collective(self) -> None:
        """Let the next collective begin, since the first of the queue has ended here."""
        number, operation = self._queue.popleft()
        operation.ended += 1
        if operation.ended == self.size:
            del self.world.collectives[number]
        self.simulation.fire(operation.done[self.rank])
        if self._queue:
            self._queue[0][1].begin(self.rank)

    def _of_collective(self, operation: Collective) -> tuple[str, Ranks]:
        return "rank {}, in " + operation.name, partial(operation.waits_for, self.rank)

    def _count_wait(self, start: float) -> None:
        self.counters.wait_s += self.simulation.now - start

    def _leave_the_clock(self) -> tuple[float, Counters, bool]:
        before = self.simulation.now, copy(self.counters), self._off
        self._off = True
        return before

    def _return_to_the_clock(self, before: tuple[float, Counters, bool]) -> None:
        start, self.counters, self._off = before
        self._off_s += self.simulation.now - start

    def _allgather(self, x: Tensor) -> Collective:
        self.count(self.size - 1, (self.size - 1) * nbytes(x), (self.size - 1) * nbytes(x))
        schedule = RingAllgather(self.size, nbytes(x) * self._scale).move
        return self._collective(f"an all-gather of {x.numel()} elements", x.clone(), self.size - 1, schedule)

    def _broadcast(self, x: Tensor, root: int) -> Collective:
        sent = (self.size - 1) * nbytes(x) if self.rank == root else 0
        self.count(self.size - 1 if sent else 0, sent, 0 if self.rank == root else nbytes(x))
        rounds = (self.size - 1).bit_length()
        schedule = BinomialBroadcast(self.size, nbytes(x) * self._scale, root).move
        return self._collective(f"a broadcast from rank {root}", x.clone(), rounds, schedule)

    def _barrier(self) -> Collective:
        return self._collective("a barrier", None, (self.size - 1).bit_length(), DisseminationBarrier(self.size).move)

    def _collective(self, name: str, x: Tensor | None, rounds: int, schedule: Schedule) -> Collective:
        """Join the next collective; here it begins when this rank's last one has ended."""
        number, self._collectives = self._collectives, self._collectives + 1
        under_way = self.world.collectives
        operation = under_way.get(number)
        if operation is None:
            send = self.network.at_once if self._off else self.network.send
            operation = under_way[number] = Collective(name, self.size, rounds, schedule, send, self.world.end_of)
        if operation.name != name:
            raise RuntimeError(f"rank {self.rank}, step {self.step}: calls {name}, another rank {operation.name}")
        operation.inputs[self.rank] = x
        self._queue.append((number, operation))
        if len(self._queue) == 1:
            operation.begin(self.rank)
        return operation


class SimulatedExchange(Exchange):
    """Both sides send a copy of their vector when they start."""

    __slots__ = ("_comm", "_incoming", "_left", "_peers", "x")

    def __init__(self, comm: SimulatedComm, x: Tensor, peers: Sequence[int], size: int) -> None:
        self._comm, self.x, self._peers = comm, x, peers
        self._incoming = [comm.expect(peer, EXCHANGE) for peer in peers]
        vector = x.clone()
        self._left = 0.0
        for peer in peers:
            self._left = comm.post(vector, size, peer, EXCHANGE)

    def mix(self, weights: Sequence[float]) -> None:
        rank, lower = self._comm.rank, 0
        for peer in self._peers:
            lower += peer < rank
        mix_(self.x, self.wait(), weights, lower)

    def wait(self) -> list[Tensor]:
        comm = self._comm
        vectors = [comm.wait(of, _EXCHANGE, (peer,)) for of, peer in zip(self._incoming, self._peers, strict=True)]
        comm.wait_until(self._left)
        return vectors


class Sent(Pending):
    """A message that takes its time to leave."""

    def __init__(self, comm: SimulatedComm, left: float) -> None:
        self._comm, self._left = comm, left

    def wait(self) -> None:
        self._comm.wait_until(self._left)


class Received(Pending):
    """A message that is to come."""

    def __init__(self, comm: SimulatedComm, out: Tensor, signal: Signal, peer: int, tag: int) -> None:
        self._comm, self.out, self._signal, self._peer, self._tag = comm, out, signal, peer, tag

    def wait(self) -> None:
        text = "a message of rank {}" + f", tag {self._tag}"
        self.out.copy_(self._comm.wait(self._signal, text, (self._peer,)))


class Reduction(Pending):
    """An all-reduce under way; x is read when the first rank has the result, and written here."""

    def __init__(self, comm: SimulatedComm, x: Tensor, operation: Collective) -> None:
        self._comm, self.x, self.operation = comm, x, operation

    def wait(self) -> None:
        operation = self.operation
        self._comm.finish(operation)
        if operation.result is None:
            operation.result = ring_mean([_given(x) for x in operation.inputs])
        self.x.copy_(operation.result)


def _given(x: Tensor | None) -> Tensor:
    assert x is not None, "a rank has this collective's result before all have joined"
    return x
