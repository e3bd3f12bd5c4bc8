"""Saves a simulated run, from time to time and before it is stopped, and lets it go on from there, bit for bit."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import torch
from torch import Tensor

from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.runs.checkpoint import Checkpoints, OtherState, Stopped
from repro.runs.divergence import Divergence
from repro.runs.position import Position, go_back, tensors
from repro.runs.stopwatch import Stopwatch
from repro.runs.train import Point
from repro.worlds.events import Deadlock, Signal
from repro.worlds.plain import Names, Reader, Writer
from repro.worlds.simulated import SimulatedWorld
from repro.worlds.simulated_state import CALLS, KINDS, Lasting, lasting, others, window_memories
from repro.worlds.taped import Tape, put_on, take_off
from repro.worlds.waiting import Waiting


@contextmanager
def going_on() -> Iterator[None]:
    """Lay to the saved state what breaks a run that goes on from one.

    Raises:
        OtherState: something has.
    """
    try:
        yield
    except (Deadlock, OSError, Stopped, UserError):  # which say themselves what to do
        raise
    except Exception as error:  # what a state holds may break the run in any way, and anywhere
        raise OtherState(
            f"the saved state does not fit the run: {str(error) or type(error).__name__}; "
            "remove it, beside the run's spec in the results' .scratch, to make the run from its start"
        ) from error


class SimulatedSaver:
    """Saves and restores the workers of a simulation; a run has one from before its first step on.

    Workers cannot be stopped at a common moment without the virtual time showing it, and asynchronous ones are always
    in the middle of something. So nobody is stopped. When the state is to be saved, each worker notes its position at
    the end of each of its steps, and has its next step taped. As soon as all have, the state is: where each was at the
    beginning of its step, the results on its tape, and the world as it is now, with all that is under way. To go on,
    each worker takes its step again from its tape, to where it waits, and the world is as it was.

    Attributes:
        wanted: whether the state is to be saved soon.
        restarts: how often the run has gone on from a saved state.
        ended: what the clock showed each worker that has come to its end, in seconds.
    """

    def __init__(self, checkpoints: Checkpoints, watch: Stopwatch) -> None:
        self._checkpoints, self._watch = checkpoints, watch
        self.restarts = 0
        self.ended: dict[int, float] = {}
        self.wanted = self._stops = False
        self._algorithms: dict[int, Algorithm] = {}
        self._positions: dict[int, Position] = {}
        self._state: dict[str, Any] | None = None
        if (last := checkpoints.last()) is not None:
            self._state, _ = last
            with going_on():
                self.restarts, self.ended = self._state["restarts"] + 1, dict(self._state["ended"])
                watch.go_on(datetime.fromisoformat(self._state["began"]), float(self._state["seconds"]))

    def save(self) -> None:
        """Save the state soon; another thread may call this."""
        self.wanted = True

    def stop(self, *_: object) -> None:
        """Save the state soon, and end the run; a handler of signals may be this."""
        self.wanted = self._stops = True

    def watch_over(self, world: SimulatedWorld, divergence: Divergence, harness: Mapping[str, Lasting]) -> None:
        """Say what the run consists of beside its workers."""
        self._world, self._divergence, self._harness = world, divergence, harness

    def begin(self, algorithm: Algorithm) -> None:
        """Return when the worker, which has yet to take its first step, is to go on."""
        self._algorithms[algorithm.comm.rank] = algorithm
        if self._state is not None:
            self._world.simulation.wait(Signal(), Waiting("the state it is to go on from"))

    def after_step(self, algorithm: Algorithm) -> None:
        """Note where the worker is; call this after each step where the state is wanted."""
        if self._divergence.found:  # the run is as good as finished
            return
        simulation, rank, tape = self._world.simulation, algorithm.comm.rank, Tape()
        put_on(tape, self._world.comms[rank])
        self._positions[rank] = Position.of(algorithm, tape)
        if all(program.rank in self._positions or program.greenlet.dead for program in simulation.programs):
            simulation.after_this_turn(self._save)

    def _save(self) -> None:
        """Save the state, while all programs wait or have ended.

        Raises:
            Stopped: that was wanted.
        """
        programs, positions = self._world.simulation.programs, self._positions
        self._positions = {}
        for comm in self._world.comms:
            take_off(comm)
        if not positions or all(program.greenlet.dead for program in programs):
            return
        for program in programs:
            if program.greenlet.dead:
                positions[program.rank] = Position.of(self._algorithms[program.rank], Tape())
        writer = Writer(self._names())
        steps = max(algorithm.worker.steps for algorithm in self._algorithms.values())
        state = {
            "positions": {rank: position.plain(writer) for rank, position in positions.items()},
            "lasting": {
                name: {attribute: writer.plain(getattr(part, attribute)) for attribute in part.state}
                for name, part in self._lasting().items()
            },
            "windows": {rank: window_memories(self._world, rank) for rank in positions},
            "objects": writer.objects,
            "memories": writer.memories,
            "ended": self.ended,
            "steps": steps,
            "began": self._watch.began.isoformat(),
            "seconds": self._watch.seconds,
            "restarts": self.restarts,
        }
        self._checkpoints.save(state, [])
        self.wanted = False
        if self._stops:
            raise Stopped(f"stopped after step {steps}, its state is saved")

    @property
    def goes_on(self) -> bool:
        """Whether the run is to go on from a saved state, which has not been restored."""
        return self._state is not None

    def restore(self) -> None:
        """Let all workers, which wait for that, go on from the saved state; call this, and run on, in `going_on`."""
        assert self._state is not None
        state, self._state = self._state, None
        reader = Reader(self._names(), state["objects"], state["memories"])
        for name, part in self._lasting().items():
            for attribute in part.state:
                setattr(part, attribute, reader.value(state["lasting"][name][attribute]))
        for program in self._world.simulation.programs:
            rank = program.rank
            with torch.no_grad():
                tape = go_back(self._algorithms[rank], state["positions"][rank], reader)
                put_on(tape, self._world.comms[rank])
                self._world.simulation.turn(program)
                # its step has begun with what it found then, and changed that once more
                for name, memory in window_memories(self._world, rank).items():
                    memory.copy_(state["windows"][rank][name])
        print(f"going on after step {state['steps']}", flush=True)

    def _lasting(self) -> dict[str, Lasting]:
        return {**lasting(self._world), **self._harness, "divergence": self._divergence}

    def _names(self) -> Names:
        objects = {**self._lasting(), **others(self._world)}
        memories: dict[str, Tensor] = {}
        for rank, algorithm in self._algorithms.items():
            memories |= tensors(algorithm.worker) | window_memories(self._world, rank)
        return Names(objects, memories, (*KINDS, Point), CALLS)
