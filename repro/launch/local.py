"""Starts runs on this machine."""

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from repro.errors import UserError
from repro.launch.mpi_env import available_cores, command, environment
from repro.launch.progress import Progress, parse
from repro.runs.spec import Run
from repro.runs.store import Store

TAIL_LINES = 40


class RunFailed(Exception):
    """A run ended without a record; the message says how, with the last lines it printed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def launch(
    run: Run,
    store: Store,
    scratch: Path,
    on_progress: Callable[[Progress], None],
    variables: Mapping[str, str],
) -> None:
    """Run `run` in its world, MPI ranks or one process, and return when its record is in `store`.

    Args:
        scratch: folder for the spec and the log of the run; both are removed when it has finished.
        variables: environment variables for the ranks, beside those that MPI needs.

    Raises:
        RunFailed: it ended without a record.
        UserError: the ranks refused the run's options.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    spec, log = scratch / f"{run.folder}.json", scratch / f"{run.folder}.log"
    spec.write_text(json.dumps(asdict(run)))
    if run.world == "simulated":
        argv = [sys.executable, "-m", "repro.launch.simulate", str(spec), str(store.root)]
        child = os.environ | dict(variables)
    else:
        argv = command(run.workers, [sys.executable, "-m", "repro.launch.rank", str(spec), str(store.root)])
        child = os.environ | environment(run.workers, available_cores()) | dict(variables)
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    # a session of its own, so that mpirun and its ranks can be ended together
    process = subprocess.Popen(
        argv, env=child, text=True, errors="replace", start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        with log.open("w", encoding="utf-8") as copy:
            for line in process.stdout:
                if progress := parse(line):
                    on_progress(progress)
                else:
                    tail.append(line.rstrip())
                    copy.write(line)
        code = process.wait()
    finally:
        _end(process)
    if code == 0 and store.has(run):
        spec.unlink()
        log.unlink()
        return
    refused = [line.partition(": ")[2] for line in tail if line.startswith("rank ")]
    if code == 2 and refused:
        raise UserError(refused[0])
    lines = "\n".join(f"    {line}" for line in tail if line.strip())
    message = f"{run.folder} ended with exit code {code} and left no record; {log} has all it printed:\n{lines}"
    raise RunFailed(code, message)


def _end(process: "subprocess.Popen[str]") -> None:
    """End the process and its ranks, if they still run: first asked, then killed."""
    for how, grace_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, how)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            continue
