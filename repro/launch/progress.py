"""How a run tells the launcher how far it is: lines on standard output that no other output looks like."""

import json
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from repro.worker import Worker

MARK = "@progress "
EVERY_S = 0.5

STOPPED = "@stopped "
"""Begins the line in which a run says where it stopped after its state was saved."""


@dataclass(frozen=True)
class Progress:
    """How far a run is: steps of one worker, the world's clock in seconds, the last mini-batch's loss."""

    steps: int
    num_steps: int
    clock_s: float
    loss: float


class Reporter:
    """Prints the progress of one worker, not more often than every half second, and at the end."""

    def __init__(self) -> None:
        self._last = -math.inf

    def __call__(self, worker: "Worker", clock_s: float) -> None:
        now = time.monotonic()  # the world's clock may be another
        steps = worker.samples // (worker.size * worker.run.batch_size)  # of a worker, in the mean over all
        if steps >= worker.num_steps or now - self._last >= EVERY_S:
            self._last = now
            progress = Progress(steps, worker.num_steps, clock_s, worker.loss)
            print(MARK + json.dumps(asdict(progress)), flush=True)


def parse(line: str) -> Progress | None:
    """Return the progress that a line tells, or None where it is another line."""
    return Progress(**json.loads(line.removeprefix(MARK))) if line.startswith(MARK) else None
