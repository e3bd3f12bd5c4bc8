"""Makes several runs at once, where they do not disturb each other."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from heapq import heapreplace
from itertools import groupby
from typing import Any

from repro.launch.plan import PlannedRun


def at_once(planned: PlannedRun, jobs: int) -> int:
    """Return of how many runs this may be one: a simulated run or a study takes one core; ranks of MPI all of them, and
    are timed, as measured studies are."""
    return 1 if planned.run.world in ("mpi", "measured") else jobs


Make = Callable[[PlannedRun], Coroutine[Any, Any, None]]


async def make_all(runs: Sequence[PlannedRun], jobs: int, make: Make) -> None:
    """Await `make` of each run, begun in this order, at most `jobs` at once, and alone those that are timed.

    The first error cancels the others, and is raised when they have ended.
    """
    running: set[asyncio.Task[None]] = set()
    limit = jobs  # of what runs already
    try:
        async with asyncio.TaskGroup() as group:
            for planned in runs:
                own = at_once(planned, jobs)
                while len(running) >= min(own, limit):
                    _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                running.add(group.create_task(make(planned)))
                limit = own
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def total_seconds(runs: Sequence[PlannedRun], jobs: int) -> float:
    """Return about how long `make_all` takes with a core for each job."""
    total = 0.0
    for most, members in groupby(runs, key=lambda planned: at_once(planned, jobs)):
        free_s = [0.0] * most
        for planned in members:
            heapreplace(free_s, free_s[0] + planned.seconds)
        total += max(free_s)
    return total
