"""The end of a run whose losses are no numbers any more: that is a result, and the rest would tell nothing."""

import math

from baselines.algorithm import Algorithm
from repro.worker import Worker


class Diverged(Exception):
    """The run ends here, in this worker and soon in all others."""


def has_diverged(worker: Worker) -> bool:
    """Whether the worker's last mini-batch had no finite loss."""
    return worker.steps > 0 and not math.isfinite(worker.loss)


class Divergence:
    """Ends all workers of the simulated world where they can be stopped, once one of them has diverged.

    As in `repro.worlds.agreement`: where all have counted to one more than the furthest, or at once where nobody waits
    for another.
    """

    state = ("_counts", "_last")

    def __init__(self, workers: int) -> None:
        self._counts = [0] * workers
        self._last: int | None = None

    @property
    def found(self) -> bool:
        """Whether a worker has diverged."""
        return self._last is not None

    def after_step(self, algorithm: Algorithm) -> None:
        """Note how far a worker is; call this after each step.

        Raises:
            Diverged: the worker is to end here.
        """
        worker, count = algorithm.worker, algorithm.cut()
        self._counts[worker.rank] = count
        if self._last is None and has_diverged(worker):
            self._last = max(self._counts) + 1
        if self._last is not None and (algorithm.asynchronous or count >= self._last):
            raise Diverged
