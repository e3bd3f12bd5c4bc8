"""Virtual time: programs that take turns in one thread, and a queue of events that decides who runs next."""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, ClassVar

import torch
from greenlet import GreenletExit, getcurrent, greenlet

from repro.worlds.waiting import Waiting, deadlock_report


class Deadlock(Exception):
    """Nothing can happen any more, and some programs wait for it; the message says who waits for whom."""


class Signal:
    """Something that happens once and may bring a value with it."""

    __slots__ = ("fired", "value", "waiter")

    def __init__(self) -> None:
        self.fired = False
        self.value: Any = None
        self.waiter: Program | None = None


class Program:
    """One rank's program: a greenlet, and what it waits for while another runs."""

    def __init__(self, rank: int, switch: greenlet) -> None:
        self.rank = rank
        self.greenlet = switch
        self.waiting: Waiting | None = None


class Simulation:
    """Runs programs in virtual time.

    Events at the same time happen in the order in which they were entered, so the same programs give the same run.
    Programs switch only where they wait; between two waits no time passes.

    Attributes:
        state: names of the attributes that change while it runs, beside the programs.
        now: the clock in seconds.
    """

    state: ClassVar[tuple[str, ...]] = ("now", "_entered", "_events", "_ready")

    def __init__(self) -> None:
        self.now = 0.0
        self.programs: list[Program] = []
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._entered = 0
        self._ready: deque[Program] = deque()
        self._current: Program | None = None
        self._hub = getcurrent()
        self._over = False

    # -- for those who make things happen

    def at(self, time: float, action: Callable[[Any], None], argument: Any) -> None:
        """Call action(argument) at `time`, which is not before now."""
        self._entered += 1
        heappush(self._events, (time, self._entered, action, argument))

    def fire(self, signal: Signal) -> None:
        """Let the signal happen now."""
        signal.fired = True
        if signal.waiter is not None:
            self._ready.append(signal.waiter)

    def bring(self, what: tuple[Signal, Any]) -> None:
        """Let a signal happen now, with a value."""
        signal, value = what
        signal.value = value
        self.fire(signal)

    def wake(self, program: Program) -> None:
        """Let a program go on now."""
        self._ready.append(program)

    # -- for programs

    def wait(self, signal: Signal, waiting: Waiting) -> Any:
        """Return the signal's value once it has happened; only one program may wait for a signal."""
        if not signal.fired:
            program = self._current
            assert program is not None
            signal.waiter = program
            self.park(waiting)
        return signal.value

    def sleep_until(self, time: float) -> None:
        """Return at `time`."""
        if time > self.now:
            program = self._current
            assert program is not None
            self.at(time, self.wake, program)
            self.park(None)

    def park(self, waiting: Waiting | None) -> None:
        """Return when what has been told of this program lets it go on."""
        program = self._current
        assert program is not None
        if self._over:  # a program that is being ended has nothing to wait for
            raise GreenletExit
        program.waiting = waiting
        gradients = torch.is_grad_enabled()  # the thread's, so it would follow the switch
        self._hub.switch()
        if torch.is_grad_enabled() != gradients:
            torch.set_grad_enabled(gradients)
        program.waiting = None

    # -- for the one who runs it

    def spawn(self, rank: int, function: Callable[[], None]) -> None:
        """Let a program start when the simulation is run, in the present autograd mode."""
        gradients = torch.is_grad_enabled()

        def begin() -> None:
            torch.set_grad_enabled(gradients)
            function()

        program = Program(rank, greenlet(begin))
        self.programs.append(program)
        self._ready.append(program)

    def after_this_turn(self, call: Callable[[], None]) -> None:
        """Call it when the program that runs now waits or has ended, before another goes on."""
        self._ready.appendleft(Program(-1, greenlet(call, self._hub)))

    def turn(self, program: Program) -> None:
        """Let a program go on until it waits or ends."""
        self._current = program
        program.greenlet.switch()

    def run(self, step_of: Callable[[int], int], restore: Callable[[], None] | None = None) -> None:
        """Run until all programs have ended; what one of them raises ends all.

        Args:
            step_of: the step a rank is in, for the report of a deadlock.
            restore: called when all programs wait for the first time and nothing is to happen, to let them go on from
                elsewhere.

        Raises:
            Deadlock: programs wait for what cannot happen any more.
        """
        gradients = torch.is_grad_enabled()
        self._hub = getcurrent()
        for program in self.programs:
            program.greenlet.parent = self._hub
        try:
            self._run()
            if restore is not None:
                restore()
                self._run()
            stuck = [program for program in self.programs if not program.greenlet.dead]
            if stuck:
                waits = {program.rank: (step_of(program.rank), program.waiting) for program in stuck}
                raise Deadlock(deadlock_report(waits, len(self.programs)))
        finally:
            self._over = True
            for program in self.programs:
                if program.greenlet:  # started and not dead
                    program.greenlet.throw()
            torch.set_grad_enabled(gradients)

    def _run(self) -> None:
        ready, events = self._ready, self._events
        while True:
            while ready:
                self._current = ready.popleft()
                self._current.greenlet.switch()
            if not events:
                return
            self.now, _, action, argument = heappop(events)
            action(argument)
