"""The pace of a worker: how long its gradients take, in the time of its world."""

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from repro.buckets import OnBucket

if TYPE_CHECKING:
    from repro.worker import Worker


class Pace(ABC):
    """Has gradients computed.

    Attributes:
        scale: how many times larger the model is taken for.
    """

    scale: float = 1.0

    @abstractmethod
    def gradient(self, worker: "Worker", on_bucket: OnBucket | None) -> float:
        """Have the worker's next gradient computed, handing out its pieces, and return the seconds it took."""


class WallPace(Pace):
    """As long as it takes."""

    def gradient(self, worker: "Worker", on_bucket: OnBucket | None) -> float:
        start = time.perf_counter()
        worker.compute(on_bucket)
        return time.perf_counter() - start
