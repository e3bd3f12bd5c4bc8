"""The pace of stragglers on real ranks: gradients take as long as they take, and then a sleep."""

import time
from collections.abc import Callable

from repro.buckets import OnBucket
from repro.pace import Pace
from repro.worker import Worker


class SleepingPace(Pace):
    """Lets a gradient that took t seconds take f t, f its delay model's factor, by a sleep of (f - 1) t.

    What is slow sends late: the pieces of a gradient come after the sleep. No gradient takes less than it does, so
    a factor below 1 counts as 1.

    Args:
        factor: of the gradient of a step.
    """

    def __init__(self, factor: Callable[[int], float]) -> None:
        self._factor = factor

    def gradient(self, worker: Worker, on_bucket: OnBucket | None) -> float:
        start, more = time.perf_counter(), self._factor(worker.steps) - 1
        if more <= 0:
            worker.compute(on_bucket)
            return time.perf_counter() - start
        worker.compute()
        time.sleep(more * (time.perf_counter() - start))
        seconds = time.perf_counter() - start
        if on_bucket is not None:
            for piece in worker.pieces():
                on_bucket(piece)
        return seconds
