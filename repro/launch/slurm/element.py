"""What an element of a job array does on its first node: `python -m repro.launch.slurm.element PLAN.json ELEMENT`.

It makes its runs one after another, as `repro run` does. Told by a signal that its time is nearly over, it lets the run
under way save its state and puts itself back into the queue; what has a record is skipped when it starts again.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from repro.errors import UserError
from repro.launch.campaign import summary
from repro.launch.claim import claim
from repro.launch.display import ShownAsLines
from repro.launch.exits import EXIT_INTERRUPTED, EXIT_USER_ERROR
from repro.launch.scratch import checkpoints
from repro.launch.slurm.commands import job_fields, requeue
from repro.launch.slurm.launcher import Slurm
from repro.launch.slurm.submissions import Note, Plan
from repro.launch.start import RunFailed, launch
from repro.launch.stores import Stores
from repro.runs.spec import Run
from repro.runs.study import StudyRun

REQUEUE_S = 30.0
"""Of the time between signal and limit: kept for putting the element back into the queue."""

LEAST_S = 10.0

Answer = TypeVar("Answer")


class Stopped(Exception):
    """The element's time is nearly over, or its ranks were told so; carries whether anything was got done."""

    def __init__(self, during: Run | StudyRun, *, got_on: bool) -> None:
        super().__init__(during.folder)
        self.during, self.got_on = during, got_on


class Element:
    """One element of an array: its runs, and what it says of them."""

    def __init__(self, path: Path, number: int) -> None:
        self._path, self._number = path, number
        self._plan = Plan.read(path)
        self._stores = Stores.of(self._plan.results)
        self._launcher = Slurm(self._plan.site, self._plan.python)
        self._save_s = max(LEAST_S, self._plan.site.signal_s - REQUEUE_S)
        self._finished = 0
        self._failed: list[str] = []

    def make(self) -> int:
        """Make the runs that are not done, and return the exit code."""
        try:
            asyncio.run(self._make_all())
        except Stopped as stopped:
            return self._put_back(stopped)
        self._note(None)
        return 1 if self._failed else 0

    async def _make_all(self) -> None:
        stop = _cancel_once()
        for handled in (signal.SIGUSR1, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(handled, stop)
        for run in self._plan.elements[self._number]:
            await self._make(run)

    async def _make(self, run: Run | StudyRun) -> None:
        store = self._stores.of_run(run)
        with claim(run, store, self._plan.results / ".scratch") as claimed:
            if claimed is None:
                print(f"{run.folder}: done, or being made by another command", flush=True)
                return
            self._note(run.folder)
            saved = _saved(claimed.spec)
            print(f"{run.folder}: begun", flush=True)
            row = ShownAsLines(run.folder)
            try:
                await launch(run, store, claimed, row.update, self._plan.variables, self._launcher, save_s=self._save_s)
            except (asyncio.CancelledError, RunFailed, UserError) as error:
                if isinstance(error, asyncio.CancelledError) or getattr(error, "code", None) == EXIT_INTERRUPTED:
                    raise Stopped(
                        run, got_on=self._finished > 0 or store.has(run) or _saved(claimed.spec) != saved
                    ) from None
                self._failed.append(run.folder)
                row.fail(str(error))
            else:
                self._finished += 1
                row.end(summary(run, self._stores))

    def _put_back(self, stopped: Stopped) -> int:
        # not SLURM_JOB_ID, which of the last element is the number of the whole array
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        fields = _insistently(lambda: job_fields(job))
        if fields["JobState"] != "RUNNING" and fields["Reason"] != "TimeLimit":
            print(f"stopped: the job is {fields['JobState'].lower()}; what is done is kept", flush=True)
            self._note(None)
            return EXIT_INTERRUPTED
        if not stopped.got_on:
            self._failed.append(stopped.during.folder)
            self._note(None)
            print(
                f"FAILED: {stopped.during.folder}: nothing was finished or saved within the time limit, so it is not "
                "put back into the queue; submit with a longer --time",
                flush=True,
            )
            return 1
        self._note(None)
        print("time is nearly over: back into the queue", flush=True)
        try:
            _insistently(lambda: requeue(job))
        except UserError:
            self._failed.append(stopped.during.folder)
            self._note(None)
            raise
        return EXIT_INTERRUPTED

    def _note(self, running: str | None) -> None:
        Note(running, tuple(self._failed)).write(self._path, self._number)


def _insistently(ask: Callable[[], Answer]) -> Answer:
    """Return what Slurm answers; a controller that is asked by many elements at once may need a second question.

    Raises:
        UserError: it has refused three times.
    """
    for _ in range(2):
        with suppress(UserError):
            return ask()
        time.sleep(2.0)
    return ask()


def _cancel_once() -> Callable[[], None]:
    """Return a handler that cancels the current task when it is first called: a second signal must not end the
    saving."""
    task = asyncio.current_task()
    assert task is not None
    called = False

    def stop() -> None:
        nonlocal called
        if not called:
            called = True
            task.cancel()

    return stop


def _saved(spec: Path) -> frozenset[tuple[str, int]]:
    """Return what there is of a run's saved state: names and times of its files."""
    folder = checkpoints(spec)
    return frozenset((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file())


def main(path: Path, number: int) -> int:
    """Make the runs of element `number` of the plan in a file; return the exit code."""
    try:
        return Element(path, number).make()
    except UserError as error:
        print(f"repro: {error}", file=sys.stderr)
        return EXIT_USER_ERROR


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
