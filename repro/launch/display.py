"""Shows how far a campaign is: a progress bar on a terminal, plain lines elsewhere."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from repro.launch.progress import Progress

LINE_EVERY_S = 15.0


def duration(seconds: float) -> str:
    """Return seconds as people say them: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Display(ABC):
    """Told of each run's begin, progress and end."""

    @abstractmethod
    def begin(self, title: str, seconds: float) -> None:
        """A run starts that should take about `seconds`."""

    @abstractmethod
    def update(self, progress: Progress) -> None:
        """The run is so far."""

    @abstractmethod
    def end(self, summary: str) -> None:
        """The run has its record."""

    @abstractmethod
    def fail(self, message: str) -> None:
        """The run ended without a record."""


@contextmanager
def display(total_seconds: float) -> Iterator[Display]:
    """Return the display that fits standard output."""
    if not sys.stdout.isatty():
        yield Lines()
        return
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    with Bars(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    ) as bars:  # fmt: skip
        yield Terminal(bars, total_seconds)


class Lines(Display):
    """Plain lines, one every quarter of a minute, for logs."""

    def begin(self, title: str, seconds: float) -> None:
        self._title, self._last = title, time.monotonic()
        print(f"{title}: about {duration(seconds)}", flush=True)

    def update(self, progress: Progress) -> None:
        if time.monotonic() - self._last >= LINE_EVERY_S:
            self._last = time.monotonic()
            share = 100 * progress.steps / progress.num_steps
            print(f"{self._title}: {share:.0f} %, loss {progress.loss:.3f}", flush=True)

    def end(self, summary: str) -> None:
        print(f"{self._title}: done, {summary}", flush=True)

    def fail(self, message: str) -> None:
        print(f"FAILED: {message}", flush=True)


class Terminal(Display):
    """One bar for the campaign, weighted by the runs' expected seconds, and one for the run."""

    def __init__(self, bars: "Bars", total_seconds: float) -> None:  # type: ignore[name-defined]  # noqa: F821
        self._bars = bars
        self._all = bars.add_task("all runs", total=total_seconds)
        self._before = 0.0
        self._run = None

    def begin(self, title: str, seconds: float) -> None:
        self._title, self._seconds = title, seconds
        self._run = self._bars.add_task(title, total=1.0)

    def update(self, progress: Progress) -> None:
        share = progress.steps / progress.num_steps
        what = "evaluating" if share == 1 else f"loss {progress.loss:.3f}"
        self._bars.update(self._run, completed=share, description=f"{self._title}  {what}")
        self._bars.update(self._all, completed=self._before + share * self._seconds)

    def end(self, summary: str) -> None:
        self._over(f"{self._title}: {summary}")

    def fail(self, message: str) -> None:
        self._over(f"FAILED: {message}")

    def _over(self, message: str) -> None:
        self._bars.console.print(message, highlight=False, markup=False)
        self._bars.remove_task(self._run)
        self._before += self._seconds
        self._bars.update(self._all, completed=self._before)
