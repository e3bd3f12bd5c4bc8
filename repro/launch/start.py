"""Starts one run and waits for what it leaves."""

import asyncio
import json
import os
import shutil
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict

from repro.errors import UserError
from repro.launch.claim import Claim
from repro.launch.exits import EXIT_INTERRUPTED
from repro.launch.launcher import Launcher
from repro.launch.progress import STOPPED, Progress, parse
from repro.launch.scratch import checkpoints
from repro.runs.folders import Folders
from repro.runs.spec import Run
from repro.runs.study import StudyRun

TAIL_LINES = 40
LONGEST_LINE = 1 << 24
"""Bytes; asyncio wants a limit."""


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""What keeps libraries to one core."""

SAVE_S = 60.0
"""How long a run that is to stop may take to come to the end of its step and save its state."""

GRACE_S = 10.0
"""How long its processes may take to end when they are asked to, and then when they are killed."""


class RunFailed(Exception):
    """A run ended without a record; the message says how, with the last lines it printed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


async def launch(
    run: Run | StudyRun,
    store: Folders,
    claim: Claim,
    on_progress: Callable[[Progress], None],
    variables: Mapping[str, str],
    launcher: Launcher,
    *,
    save_s: float = SAVE_S,
) -> None:
    """Make `run`, on MPI ranks or in one process, and return when what it leaves is in `store`.

    Whatever ends this early first ends the processes; a cancellation lets a run save its state before.

    Args:
        claim: with the file to write the run's spec to; its log and its saved state are beside it, and are removed
            when the run has finished.
        variables: environment variables for the run, beside those that MPI needs.
        save_s: how long a run that is to stop may take for that.

    Raises:
        RunFailed: it ended without a record.
        UserError: the ranks refused the run's options.
    """
    spec = claim.spec
    log = spec.with_suffix(".log")
    log.unlink(missing_ok=True)
    spec.write_text(json.dumps(asdict(run)))
    places = str(spec), str(store.root)
    if isinstance(run, StudyRun):
        argv = launcher.alone(["-m", "repro.launch.study", *places])
        child = os.environ | dict.fromkeys(THREADS, "1") | dict(variables)
    elif run.world == "simulated":
        argv = launcher.alone(["-m", "repro.launch.simulate", *places])
        child = os.environ | dict(variables)
    else:
        argv = launcher.on_ranks(run.ranks, ["-m", "repro.launch.rank", *places])
        child = os.environ | launcher.variables(run.ranks) | dict(variables)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    # a session of its own, so that mpirun and its ranks can be ended together
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=child,
        start_new_session=True,
        stdout=PIPE,
        stderr=STDOUT,
        limit=LONGEST_LINE,
        pass_fds=(claim.lock,),
    )
    assert process.stdout is not None
    try:
        async for content in process.stdout:
            line = content.decode(errors="replace")
            if progress := parse(line):
                on_progress(progress)
                continue
            tail.append(line.rstrip())
            with suppress(OSError), log.open("a", encoding="utf-8") as copy:  # a full disk, of which the ranks tell
                copy.write(line)
        code = await process.wait()
    except asyncio.CancelledError:
        if isinstance(run, Run):
            await _let_save(process, save_s)
        raise
    finally:
        await _end(process)
        if store.has(run):  # also where it was told to stop when it was as good as finished
            log.unlink(missing_ok=True)
            shutil.rmtree(checkpoints(spec), ignore_errors=True)
        else:
            with suppress(ProcessLookupError, TimeoutError):  # what it had started may live on without it
                os.killpg(process.pid, signal.SIGKILL)
                await asyncio.wait_for(process.stdout.read(), GRACE_S)
    if code == 0 and store.has(run):
        return
    stopped = [line.removeprefix(STOPPED) for line in tail if line.startswith(STOPPED)]
    if code == 0 and stopped:
        raise RunFailed(EXIT_INTERRUPTED, f"{run.folder} {stopped[-1]}")
    refused = [line.partition(": ")[2] for line in tail if line.startswith("rank ")]
    if code == 2 and refused:
        raise UserError(refused[0])
    lines = "\n".join(f"    {line}" for line in tail if line.strip())
    message = f"{run.folder} ended with exit code {code} and left no record; {log} has all it printed:\n{lines}"
    raise RunFailed(code, message)


async def _let_save(process: Process, save_s: float) -> None:
    """Tell a simulation, or mpirun or what is in its place, which tells the ranks, to save and stop; wait for that."""
    with suppress(ProcessLookupError, TimeoutError):
        process.send_signal(signal.SIGUSR1)
        assert process.stdout is not None
        # what nobody reads any more would hold up the ranks
        await asyncio.wait_for(asyncio.gather(process.stdout.read(), process.wait()), save_s)


async def _end(process: Process) -> None:
    """End the process and its ranks, if they still run: first asked, then killed."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError, TimeoutError):  # it may end by itself just now
            os.killpg(process.pid, how)
            await asyncio.wait_for(process.wait(), GRACE_S)
