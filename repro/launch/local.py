"""Starts runs on this machine."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from repro.errors import UserError
from repro.launch.mpi_env import available_cores, command, environment
from repro.launch.progress import Progress, parse
from repro.runs.folders import Folders
from repro.runs.spec import Run
from repro.runs.study import StudyRun

TAIL_LINES = 40
LONGEST_LINE = 1 << 24
"""Bytes; asyncio wants a limit."""


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What keeps libraries to one core."""


class RunFailed(Exception):
    """A run ended without a record; the message says how, with the last lines it printed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


async def launch(
    run: Run | StudyRun,
    store: Folders,
    spec: Path,
    on_progress: Callable[[Progress], None],
    variables: Mapping[str, str],
) -> None:
    """Make `run`, on MPI ranks or in one process, and return when what it leaves is in `store`.

    Whatever ends this early, a cancellation too, first ends the processes.

    Args:
        spec: file to write the run's spec to; its log is beside it, and removed when the run has finished.
        variables: environment variables for the ranks, beside those that MPI needs.

    Raises:
        RunFailed: it ended without a record.
        UserError: the ranks refused the run's options.
    """
    log = spec.with_suffix(".log")
    spec.write_text(json.dumps(asdict(run)))
    if isinstance(run, StudyRun):
        argv = [sys.executable, "-m", "repro.launch.study", str(spec), str(store.root)]
        child = os.environ | dict.fromkeys(THREADS, "1") | dict(variables)
    elif run.world == "simulated":
        argv = [sys.executable, "-m", "repro.launch.simulate", str(spec), str(store.root)]
        child = os.environ | dict(variables)
    else:
        argv = command(run.ranks, [sys.executable, "-m", "repro.launch.rank", str(spec), str(store.root)])
        child = os.environ | environment(run.ranks, available_cores()) | dict(variables)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    # a session of its own, so that mpirun and its ranks can be ended together
    process = await asyncio.create_subprocess_exec(
        *argv, env=child, start_new_session=True, stdout=PIPE, stderr=STDOUT, limit=LONGEST_LINE
    )
    assert process.stdout is not None
    try:
        with log.open("w", encoding="utf-8") as copy:
            async for content in process.stdout:
                line = content.decode(errors="replace")
                if progress := parse(line):
                    on_progress(progress)
                else:
                    tail.append(line.rstrip())
                    copy.write(line)
        code = await process.wait()
    finally:
        await _end(process)
    if code == 0 and store.has(run):
        log.unlink()
        return
    refused = [line.partition(": ")[2] for line in tail if line.startswith("rank ")]
    if code == 2 and refused:
        raise UserError(refused[0])
    lines = "\n".join(f"    {line}" for line in tail if line.strip())
    message = f"{run.folder} ended with exit code {code} and left no record; {log} has all it printed:\n{lines}"
    raise RunFailed(code, message)


async def _end(process: Process) -> None:
    """End the process and its ranks, if they still run: first asked, then killed."""
    for how, grace_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError, TimeoutError):  # it may end by itself just now
            os.killpg(process.pid, how)
            await asyncio.wait_for(process.wait(), grace_s)
