"""Starts ranks for tests, with nothing of them left behind."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from repro.launch.mpi_env import available_cores, command, environment

ROOT = Path(__file__).parents[2]


@contextmanager
def mpirun(size: int, argv: Sequence[str], folder: Path, *, survive: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Start `argv` on `size` ranks in a session of their own, which is ended on leaving; output goes to `folder`."""
    variables = os.environ | environment(size, available_cores()) | {"RANK_REPORTS": str(folder)}
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            command(size, argv, survive=survive),
            cwd=ROOT,
            env=variables,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def members(session: int) -> list[psutil.Process]:
    """The processes of a session, whatever process groups they made for themselves."""
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == session and runs(process.pid):
                found.append(process)
    return found


def runs(pid: int) -> bool:
    """Whether there is such a process, other than one that has ended and that nobody has asked after yet."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End mpirun and its ranks: asked first, then killed one by one."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    for member in members(process.pid):
        with suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait(10)


def wait_until(condition: Callable[[], bool], limit_s: float = 60.0) -> None:
    """Return when `condition` holds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
