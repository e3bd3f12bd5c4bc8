"""Saves the state of a run on MPI ranks, from time to time and before it is stopped."""

import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from mpi4py import MPI

from baselines.algorithm import Algorithm
from repro.errors import UserError
from repro.runs.checkpoint import Checkpoints, Stopped
from repro.runs.divergence import Diverged, has_diverged
from repro.runs.state import load_state_dict, state_dict
from repro.runs.stopwatch import Stopwatch
from repro.runs.train import Point
from repro.worlds.agreement import Agreement, Pause
from repro.worlds.comm import Counters
from repro.worlds.mpi import MpiComm

LITTLE = 0.1
"""Of the time between two savings: after less, a run that has come to its end is not saved before its evaluation."""

Cancel = Callable[[], None]


class Saver:
    """One rank's part in saving a run; all ranks make one before their first step, and close it after their last.

    SIGUSR1 and SIGTERM to any rank let all of them stop at the next step that all can stop at.

    Attributes:
        points: those of this rank so far, to which the run appends.
        restarts: how often the run has gone on from a saved state.
        diverged: whether the run has ended because a loss was no number any more.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        comm: MpiComm,
        communicator: MPI.Intracomm,
        checkpoints: Checkpoints,
        watch: Stopwatch,
        every_s: float,
    ) -> None:
        self._algorithm, self._comm, self._communicator = algorithm, comm, communicator
        self._checkpoints, self._watch, self._every_s = checkpoints, watch, every_s
        self.points: list[Point] = []
        self.restarts = 0
        self._ended = self.diverged = False
        if (last := checkpoints.last()) is not None:
            self._go_on(*last)
        else:
            comm.start_clock()
        self._agreement = Agreement(communicator, every_s)
        self._saved = time.monotonic()
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, lambda *_: self._agreement.want(Pause.STOP))

    @property
    def passed(self) -> int:
        """Number of the last evaluation point."""
        return self.points[-1].number if self.points else 0

    def after_step(self) -> None:
        """Pause, if that is what all ranks have agreed on; call this after each step.

        Raises:
            Diverged: a rank's loss is no number any more, and all are to end here.
            Stopped: all ranks have saved their state and are to end.
        """
        algorithm = self._algorithm
        if has_diverged(algorithm.worker):
            self._agreement.want(Pause.DIVERGED)
        if pause := self._agreement.after_step(None if algorithm.asynchronous else algorithm.cut()):
            self._mark()
            self._pause(pause)
        if self.diverged:
            raise Diverged

    def after_last_step(self) -> None:
        """Return when all ranks have come to their end, or diverged; until then others may pause, and so does this one.

        Raises:
            Stopped: as above.
        """
        if self.diverged:
            return
        self._mark()
        self._ended = True
        with self._comm.off_the_clock():
            while pause := self._agreement.after_last_step():
                self._pause(pause)
                if self.diverged:
                    return
            little = time.monotonic() - self._saved < LITTLE * self._every_s
            if not self._communicator.bcast(little):  # evaluation may be long, too
                self._save()
            self._agreement.close()

    def _pause(self, pause: Pause) -> None:
        if pause is Pause.DIVERGED:
            self.diverged = True
            self._agreement.close()
            return
        with self._comm.off_the_clock():
            # where all are at their end, the run is as good as finished
            if not self._communicator.allreduce(self._ended, MPI.LAND):
                self._save()
                if pause is Pause.STOP:
                    self._agreement.close()
                    steps = self._communicator.allreduce(self._algorithm.worker.steps, MPI.MAX)
                    raise Stopped(f"stopped after step {steps}, its state is saved")
            self._agreement.resume()

    def _mark(self) -> None:
        """Note what clock and counters show, which saving is not to move."""
        self._marked = self._comm.now(), asdict(self._comm.counters)

    def _save(self) -> None:
        clock_s, counters = self._marked
        state: dict[str, Any] = {
            "state": state_dict(self._algorithm),
            "clock_s": clock_s,
            "counters": counters,
            "began": self._watch.began.isoformat(),
            "seconds": self._watch.seconds,
            "restarts": self.restarts,
        }
        self._checkpoints.save(state, self.points)
        self._saved = time.monotonic()

    def _go_on(self, saved: dict[str, Any], points: list[Point]) -> None:
        self.points = points
        try:
            self.restarts = saved["restarts"] + 1
            began, counters = datetime.fromisoformat(saved["began"]), Counters(**saved["counters"])
            state, clock_s, seconds = saved["state"], float(saved["clock_s"]), float(saved["seconds"])
        except (LookupError, TypeError, ValueError) as error:
            raise UserError(f"the saved state is not one of a run: {error}") from None
        load_state_dict(self._algorithm, state)
        worker = self._algorithm.worker
        self._comm.step = worker.steps
        self._watch.go_on(began, seconds)
        self._comm.start_clock(clock_s, counters)
        if self._comm.rank == 0:
            print(f"going on after step {worker.steps}", flush=True)
