"""Programs of the simulated world that are taped, so that they can be led again to where they were.

A suspended program cannot be saved. But from the same state it does the same again, if its calls return the same: it is
run again on what they returned, of which the world takes no notice, until it waits where it waited.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from torch import Tensor

from repro.worlds.collectives import Collective
from repro.worlds.comm import Counters
from repro.worlds.events import Signal
from repro.worlds.simulated import Received, Reduction, SimulatedComm, SimulatedExchange
from repro.worlds.simulated_window import SimulatedWindow
from repro.worlds.waiting import Ranks, Waiting

T = TypeVar("T")
_WAIT = "wait"


class Tape:
    """The results of a program's calls since the beginning of its step, with the names of what it called.

    Args:
        results: what is to be played; without, the tape is to be recorded.
    """

    def __init__(self, results: Sequence[tuple[str, Any]] | None = None) -> None:
        self._plays = results is not None
        self.results = deque(results or ())

    def do(self, call: Callable[..., T], *arguments: Any) -> T:
        """Return call(*arguments), or what it returned."""
        if self._plays:
            return self._next(call.__name__)
        result = call(*arguments)
        self.results.append((call.__name__, result))
        return result

    def wait(self, begin: Callable[[], object], again: Callable[[], None]) -> None:
        """Call `begin`, which waits; where the tape comes to its end, `again`, for a wait that has begun."""
        if not self._plays:
            begin()
            self.results.append((_WAIT, None))
        elif self.results:
            self._next(_WAIT)
        else:
            self._plays = False
            again()

    def _next(self, name: str) -> Any:
        before, result = self.results.popleft() if self.results else (_WAIT, None)
        if before != name:
            raise RuntimeError(f"a program that goes on from a saved state calls {name}, where it called {before}")
        return result


class TapedComm(SimulatedComm):
    """A Comm whose calls are taped, or played; see `put_on`. A played call may give an operation that another
    sitting's program began: it is handed the tensors of this one."""

    tape: Tape

    def now(self) -> float:
        return self.tape.do(super().now)

    def exchange(self, x: Tensor, peers: Sequence[int]) -> SimulatedExchange:
        exchange = self.tape.do(super().exchange, x, peers)
        exchange.x = x
        return exchange

    def isend(self, x: Tensor, peer: int, tag: int = 0) -> Any:
        return self.tape.do(super().isend, x, peer, tag)

    def irecv(self, out: Tensor, peer: int, tag: int = 0) -> Received:
        received = self.tape.do(super().irecv, out, peer, tag)
        received.out = out
        return received

    def iallreduce_mean(self, x: Tensor) -> Reduction:
        reduction = self.tape.do(super().iallreduce_mean, x)
        reduction.x = reduction.operation.inputs[self.rank] = x
        return reduction

    def wait(self, signal: Signal, text: str, ranks: Ranks) -> Any:
        start, tape = self.clock(), self.tape
        waiting = Waiting(text, ranks)
        tape.wait(partial(self.simulation.wait, signal, waiting), partial(self._wait_again, waiting))
        tape.do(self._count_wait, start)
        return signal.value

    def wait_until(self, time: float) -> None:
        start, tape = self.clock(), self.tape
        self.sleep_until(time)
        tape.do(self._count_wait, start)

    def finish(self, operation: Collective) -> None:
        self.wait(operation.done[self.rank], *self._of_collective(operation))

    def clock(self) -> float:
        return self.tape.do(super().clock)

    def sleep_until(self, time: float) -> None:
        self.tape.wait(partial(self.simulation.sleep_until, time), partial(self._wait_again, None))

    def _leave_the_clock(self) -> tuple[float, Counters, bool]:
        return self.tape.do(super()._leave_the_clock)

    def _return_to_the_clock(self, before: tuple[float, Counters, bool]) -> None:
        self.tape.do(super()._return_to_the_clock, before)

    def _allgather(self, x: Tensor) -> Collective:
        return self.tape.do(super()._allgather, x)

    def _broadcast(self, x: Tensor, root: int) -> Collective:
        return self.tape.do(super()._broadcast, x, root)

    def _barrier(self) -> Collective:
        return self.tape.do(super()._barrier)

    def _wait_again(self, waiting: Waiting | None) -> None:
        take_off(self)
        self.simulation.park(waiting)


class TapedWindow(SimulatedWindow):
    """A window of a rank whose Comm is a `TapedComm`."""

    _comm: TapedComm

    def _ask(self, rank: int, shared: bool) -> Signal:
        return self._comm.tape.do(super()._ask, rank, shared)

    def _look(self, rank: int) -> None:
        if rank == self._comm.rank:
            self.local.copy_(self._comm.tape.do(self.local.clone))

    def _release(self, rank: int) -> None:
        self._comm.tape.do(super()._release, rank)

    def _get(self, rank: int, out: Tensor, offset: int) -> Signal:
        return self._comm.tape.do(super()._get, rank, out, offset)

    def _write(self, rank: int, x: Tensor, offset: int, adds: bool) -> Signal:
        return self._comm.tape.do(super()._write, rank, x, offset, adds)


def put_on(tape: Tape, comm: SimulatedComm) -> None:
    """Have what a program calls recorded on a tape, or played from it; without one it pays nothing for this."""
    comm.__class__ = TapedComm
    comm.tape = tape  # type: ignore[attr-defined]
    for window in comm.windows:
        window.__class__ = TapedWindow


def take_off(comm: SimulatedComm) -> None:
    """End that. A program that waits meanwhile may have its tape in its hands."""
    comm.__class__ = SimulatedComm
    for window in comm.windows:
        window.__class__ = SimulatedWindow
