"""Real time."""

import time
from datetime import UTC, datetime


class Stopwatch:
    """When something began, and how long it has taken in real time, in several sittings or one."""

    def __init__(self) -> None:
        self.began, self._start = datetime.now(UTC), time.perf_counter()

    def go_on(self, began: datetime, seconds: float) -> None:
        """Add the seconds of earlier sittings, the first of which began then."""
        self.began = began
        self._start -= seconds

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._start
