"""Lets MPI ranks that may not wait for each other in the middle of a step agree on where all of them pause."""

import threading
import time
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from mpi4py import MPI

LOOK_S = 0.2
"""Seconds between two rounds in which threads ask whether any rank wants a pause."""

_POLL_S = 0.002


class Pause(IntEnum):
    """What ranks pause for."""

    SAVE = 1
    STOP = 2
    DIVERGED = 3


class Agreement:
    """A thread of each rank that agrees with the others on a pause, while the ranks compute and wait for each other.

    The threads reduce over all ranks, again and again, whether any wants to pause. If one does, every rank is held as
    soon as it has counted one further; the pause is where all have counted to

        last = max_i count_i + 1,

    which is no less than what anyone was held at, and so within reach of all. Nobody waits but for the threads, which
    wait for nobody's step, so that it does not matter who waits for whom in the steps up to there. A rank whose run
    ends before pauses at its end.

    Args:
        communicator: all ranks; its duplicate is the threads' own.
        every_s: seconds after which a pause to save is wanted, from the last pause on.
    """

    def __init__(self, communicator: MPI.Intracomm, every_s: float) -> None:
        self._communicator = communicator.Dup()
        self._every_s, self._since = every_s, time.monotonic()
        self._wanted = 0
        self._changed = threading.Condition()  # guards all below
        self._count: int | None = 0
        self._held = False
        self._held_count = 0
        self._ended = self._all_ended = False
        self._decided: Pause | None = None
        self._last = 0
        self._thread = threading.Thread(target=self._agree, name="agreement", daemon=True)
        self._thread.start()

    def want(self, pause: Pause) -> None:
        """Let all ranks pause soon; one call in one rank is enough, and a handler of signals may make it."""
        self._wanted = max(self._wanted, pause)

    def after_step(self, count: int | None) -> Pause | None:
        """Return what to pause for now, mostly nothing; call this after each step.

        Args:
            count: how far this rank is, in what all can count to the same number of and pause; None where they can
                pause anywhere.
        """
        with self._changed:
            self._count = count
            if not self._held or (count is not None and count <= self._held_count):
                return None
            self._changed.wait_for(lambda: self._decided is not None)
            return None if count is not None and count < self._last else self._decided

    def after_last_step(self) -> Pause | None:
        """Return what to pause for, or None when all ranks have come to their end, which this waits for."""
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: self._decided is not None or self._all_ended)
            return self._decided

    def resume(self) -> None:
        """End the pause; all ranks call this."""
        with self._changed:
            self._wanted = 0 if self._wanted == self._decided else self._wanted
            self._decided, self._held, self._since = None, False, time.monotonic()
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread, at the end of the run or in a pause; all ranks call this."""
        with self._changed:
            self._all_ended = True
            self._changed.notify_all()
        self._thread.join()
        self._communicator.Free()

    # -- the thread

    def _agree(self) -> None:
        while not self._all_ended:
            ended = self._ended  # first: what is wanted before a rank's end counts
            wanted, going_on = self._max(self._wanted_now(), not ended)
            if wanted:
                self._decide(Pause(wanted))
            elif not going_on:
                with self._changed:
                    self._all_ended = True
                    self._changed.notify_all()
            else:
                time.sleep(LOOK_S)

    def _wanted_now(self) -> int:
        due = self._communicator.rank == 0 and time.monotonic() - self._since >= self._every_s
        return max(self._wanted, Pause.SAVE if due else 0)

    def _decide(self, pause: Pause) -> None:
        with self._changed:
            self._held, self._held_count = True, self._count or 0
        (furthest,) = self._max(self._held_count)
        with self._changed:
            self._last, self._decided = furthest + 1, pause
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._decided is None or self._all_ended)

    def _max(self, *values: int) -> Sequence[int]:
        own, result = np.array(values, dtype=np.int64), np.empty(len(values), dtype=np.int64)
        request = self._communicator.Iallreduce(own, result, MPI.MAX)
        while not request.Test():
            time.sleep(_POLL_S)
        return result.tolist()
