"""Real time."""

import time
from datetime import UTC, datetime


class Stopwatch:
    """When something began, and how long it has taken in real time."""

    def __init__(self) -> None:
        self.began, self._start = datetime.now(UTC), time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._start
