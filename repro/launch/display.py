"""Shows how far a campaign is: a progress bar on a terminal, plain lines elsewhere."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from repro.launch.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

LINE_EVERY_S = 15.0


def duration(seconds: float) -> str:
    """Return seconds as people say them: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class Display(ABC):
    """Told of each run's begin; several may be under way."""

    @abstractmethod
    def begin(self, title: str, seconds: float) -> "Shown":
        """A run starts that should take about `seconds`."""


class Shown(ABC):
    """Told of one run's progress and end."""

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
    """Return the display that fits standard output.

    Args:
        total_seconds: of all runs, each counted alone.
    """
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
    """Plain lines, one every quarter of a minute for each run, for logs."""

    def begin(self, title: str, seconds: float) -> "ShownAsLines":
        print(f"{title}: about {duration(seconds)}", flush=True)
        return ShownAsLines(title)


class ShownAsLines(Shown):
    """A run's lines, each with its title."""

    def __init__(self, title: str) -> None:
        self._title, self._last = title, time.monotonic()

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
    """One bar for the campaign, weighted by the runs' expected seconds, and one for each run under way."""

    def __init__(self, bars: "Bars", total_seconds: float) -> None:
        self._bars = bars
        self._all = bars.add_task("all runs", total=total_seconds)

    def begin(self, title: str, seconds: float) -> "ShownAsBar":
        return ShownAsBar(self._bars, self._all, title, seconds)


class ShownAsBar(Shown):
    """A run's bar, and its part of the bar for all."""

    def __init__(self, bars: "Bars", all_runs: "TaskID", title: str, seconds: float) -> None:
        self._bars, self._all, self._title, self._seconds = bars, all_runs, title, seconds
        self._share = 0.0
        self._own = bars.add_task(title, total=1.0)

    def update(self, progress: Progress) -> None:
        share = progress.steps / progress.num_steps
        what = "evaluating" if share == 1 else f"loss {progress.loss:.3f}"
        self._bars.update(self._own, completed=share, description=f"{self._title}  {what}")
        self._advance_to(share)

    def end(self, summary: str) -> None:
        self._over(f"{self._title}: {summary}")

    def fail(self, message: str) -> None:
        self._over(f"FAILED: {message}")

    def _over(self, message: str) -> None:
        self._bars.console.print(message, highlight=False, markup=False)
        self._bars.remove_task(self._own)
        self._advance_to(1.0)

    def _advance_to(self, share: float) -> None:
        self._bars.advance(self._all, (share - self._share) * self._seconds)
        self._share = share
