"""Ends an MPI run in which nothing moves any more, and says what each rank does and who waits for whom."""

import math
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import networkx as nx
from mpi4py import MPI

from repro.launch.exits import EXIT_DEADLOCK
from repro.worlds.comm import Comm

TIMEOUT_S = 300.0
_LOOK_S, _COLLECT_LOOK_S = 1.0, 0.05
_COLLECT_S = 3.0  # several looks of the others
FORWARD_S = 1.0  # an mpirun that is told of an abort may drop what it has not read yet
ABORT_S = 10
_QUESTION, _ANSWER = 0, 1


class WaitFor(Protocol):
    """Returns when a request of MPI is complete, and lets the watchdog know what it is about."""

    def __call__(self, request: MPI.Request, text: str, peer: int | None = None, tag: int | None = None) -> None: ...


class Operation(NamedTuple):
    """What a rank waits for, or last waited for.

    Attributes:
        text: in words that follow "waits for", with `{peer}` and `{tag}` for what the other attributes say.
        peer: the rank waited for, or whose lock; None where all ranks are.
        window: number of the window of a lock, which is waited for from whoever holds it; None for all else.
    """

    text: str
    peer: int | None = None
    tag: int | None = None
    window: int | None = None

    def __str__(self) -> str:
        return self.text.format(peer=self.peer, tag=self.tag)


class State(NamedTuple):
    """What one rank does.

    Attributes:
        step: steps it has finished.
        operation: what it waits for, or last waited for; None if it never has.
        since: when it began to wait, on its own clock; None if it does not wait.
        waits_s: how long it has waited; 0 if it does not wait.
        step_s: how long ago it finished its last step.
        holds: the locks it holds, as (window, rank).
    """

    step: int
    operation: Operation | None
    since: float | None
    waits_s: float
    step_s: float
    holds: tuple[tuple[int, int], ...]


class Watchdog:
    """A thread of each rank that sees how long the rank waits and answers for it while it waits.

    When this rank has waited for `timeout_s`, its thread asks all others what they do. A rank is stuck if it has waited
    that long and no rank that it waits for, directly or through others, has finished a step in that time: a fast worker
    may wait for a slow one that goes on. If a rank is found stuck twice in the same operation, since the first look may
    fall together with the end of it, the states of all are printed and MPI is aborted with exit code 75.

    A rank inside a call that holds Python's lock cannot answer, nor can one that has died.
    """

    def __init__(self, comm: Comm, communicator: MPI.Intracomm, timeout_s: float) -> None:
        self._comm, self._timeout_s = comm, timeout_s
        self._communicator = communicator.Dup()  # its own, so that nothing else can take its messages
        self.operation: tuple = ()
        """What this rank does or did last, beside computing: the fields of Operation."""

        self.since: float | None = None
        """Since when it waits in that operation; None if it does not wait."""

        self.held: list[tuple[int, int]] = []
        """The locks this rank holds, as (window, rank)."""

        self._step, self._stepped = 0, time.perf_counter()
        self._ask_from = self._asked = 0.0
        self._questions = 0
        self._answers: dict[int, State] | None = None  # None: this rank does not ask
        self._suspects: dict[int, tuple] = {}
        self._sends: list[MPI.Request] = []  # kept, since a buffer must live until it has been sent
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def begin(self, text: str, peer: int | None = None, tag: int | None = None, window: int | None = None) -> float:
        """Note that this rank waits from now on, and return the time; the arguments are those of Operation."""
        self.operation = text, peer, tag, window
        self.since = since = time.perf_counter()
        return since

    def end(self) -> None:
        """Note that it has what it waited for."""
        self.since = None

    def stop(self) -> None:
        """End the thread; to be called before MPI is finalised."""
        self._stop.set()
        self._thread.join()

    # -- the thread

    def _watch(self) -> None:
        look_s = min(_LOOK_S, self._timeout_s / 4)
        while not self._stop.wait(look_s if self._answers is None else _COLLECT_LOOK_S):
            try:
                self._look()
            except MPI.Exception as error:  # in a run that goes on without ranks that have died
                if error.Get_error_class() != MPI.ERR_PROC_FAILED:
                    raise
                self._communicator.Ack_failed()  # from now on messages of the others are found again

    def _look(self) -> None:
        now = time.perf_counter()
        if self._comm.step != self._step:
            self._step, self._stepped = self._comm.step, now
        self._answer_questions(now)
        if self._answers is not None:
            self._collect(now)
        elif now >= self._ask_from and self._state().waits_s >= self._timeout_s:
            self._ask(now)

    def _state(self) -> State:
        since, operation, now = self.since, self.operation, time.perf_counter()
        return State(
            step=self._step,
            operation=Operation(*operation) if operation else None,
            since=since,
            waits_s=0.0 if since is None else now - since,
            step_s=now - self._stepped,
            holds=tuple(self.held),
        )

    def _answer_questions(self, now: float) -> None:
        while (asker := self._received(_QUESTION)) is not None:
            rank, number = asker
            if self._answers is not None and rank > self._comm.rank:
                continue  # of two that ask, the lower goes on and the higher, who hears of it, gives up
            self._answers = None
            self._ask_from = now + _COLLECT_S + 3 * _LOOK_S  # by then the other has judged for all, or asked again
            self._send((number, self._state()), rank, _ANSWER)

    def _ask(self, now: float) -> None:
        self._questions += 1
        self._asked, self._answers = now, {self._comm.rank: self._state()}
        for rank in range(self._comm.size):
            if rank != self._comm.rank:
                self._send(self._questions, rank, _QUESTION)

    def _collect(self, now: float) -> None:
        assert self._answers is not None
        while (answer := self._received(_ANSWER)) is not None:
            rank, (number, state) = answer
            if number == self._questions:
                self._answers[rank] = state
        if len(self._answers) < self._comm.size and now < self._asked + _COLLECT_S:
            return
        states, self._answers = self._answers, None
        self._judge(states, now)

    def _judge(self, states: Mapping[int, State], now: float) -> None:
        graph = waits_for(states, self._comm.size)
        stuck = {}
        for rank in [rank for rank, state in states.items() if state.waits_s >= self._timeout_s]:
            awaited = [states[other] for other in nx.descendants(graph, rank) if other in states]
            last_step_s = min((state.step_s for state in awaited), default=math.inf)
            if last_step_s >= self._timeout_s:
                stuck[rank] = states[rank].operation, states[rank].since
            elif rank == self._comm.rank:
                self._ask_from = now + self._timeout_s - last_step_s
        if stuck.items() & self._suspects.items():
            self._abort(states)
        self._suspects = stuck
        if stuck:
            self._ask_from = now + _LOOK_S

    def _abort(self, states: Mapping[int, State]) -> None:
        head = f"no progress for {self._timeout_s:g} s; rank {self._comm.rank} asked all ranks what they do:"
        print(f"{head}\n{report(states, self._comm.size)}", file=sys.stderr, flush=True)
        time.sleep(FORWARD_S)
        signal.alarm(ABORT_S)  # ends this rank should the abort hang, as it may where a rank has died
        MPI.COMM_WORLD.Abort(EXIT_DEADLOCK)

    def _send(self, message: object, rank: int, tag: int) -> None:
        self._sends = [send for send in self._sends if _under_way(send)]
        self._sends.append(self._communicator.isend(message, rank, tag))

    def _received(self, tag: int) -> tuple | None:
        status = MPI.Status()
        if not self._communicator.iprobe(tag=tag, status=status):
            return None
        return status.source, self._communicator.recv(source=status.source, tag=tag)


def _under_way(send: MPI.Request) -> bool:
    try:
        return not send.Test()
    except MPI.Exception:  # to a rank that has died
        return False


def waits_for(states: Mapping[int, State], size: int) -> nx.DiGraph:
    """Return who waits for whom: an edge from a rank to each rank that may be the one to let it go on."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(size))
    for rank, state in states.items():
        operation = state.operation
        if state.since is None or operation is None:
            continue
        others = [other for other in range(size) if other != rank]
        if operation.window is not None:
            lock = operation.window, operation.peer
            awaited = [other for other, s in states.items() if lock in s.holds] or others
        elif operation.peer is not None:
            awaited = [operation.peer]
        else:
            here = {r for r, s in states.items() if s.since is not None and s.operation == operation}
            awaited = [other for other in others if other not in here]
        graph.add_edges_from((rank, other) for other in awaited)
    return graph


def report(states: Mapping[int, State], size: int) -> str:
    """Return a line for each rank, and one for a circle of ranks that wait for each other if there is one."""
    lines = [f"  rank {rank}{_told(states.get(rank))}" for rank in range(size)]
    graph = waits_for(states, size)
    # of all circles a shortest; there may be very many long ones
    circles = (circle for length in range(1, size + 1) for circle in nx.simple_cycles(graph, length_bound=length))
    if circle := next(circles, None):
        start = circle.index(min(circle))
        circle = [*circle[start:], *circle[: start + 1]]
        lines.append("  in a circle: " + " waits for ".join(f"rank {rank}" for rank in circle))
    return "\n".join(lines)


def _told(state: State | None) -> str:
    if state is None:
        return ": gives no answer"
    if state.since is not None:
        does = f"waits {state.waits_s:.0f} s for {state.operation}"
    else:
        does = f"computes, on this step for {state.step_s:.0f} s"
        if state.operation is not None:
            does += f"; it last waited for {state.operation}"
    holds = "".join(f"; holds the lock of rank {rank}, window {window}" for window, rank in state.holds)
    return f", step {state.step}: {does}{holds}"
