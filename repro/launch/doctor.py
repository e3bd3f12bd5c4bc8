"""`repro doctor`: says what of MPI, Horovod, memory, data and GPU works here, and how to mend the rest."""

import functools
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from repro.errors import UserError
from repro.launch import mpi_env
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.sets import DATA_SETS, DataSet

RANKS = 4
TIMEOUT_S = 120.0  # four ranks that import torch from a cold disk
SHM_BYTES = 512 << 20  # four ranks that exchange ResNet-50, 102 MB each, through shared memory

SET_UP_AGAIN = "rm -r .venv && make setup"
OTHER_MPI = "use another MPI, for instance Open MPI 5"
STYLES = {"ok": "green", "problem": "red", "note": "yellow"}


@dataclass(frozen=True)
class Check:
    """One line of the answer; where it is not ok, `found` is the problem and `fix` what to do about it."""

    name: str
    ok: bool
    found: str
    fix: str = ""
    required: bool = True


class Problem(Exception):
    """Something does not work; carries what was found and the fix."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.fix = fix


def examine() -> list[Check]:
    """Return the outcome of all checks; takes some 10 seconds, since it starts real ranks."""
    return list(_outcomes())


def main() -> int:
    """Print a line for each check of this machine; return 0 if all that is required works, else 1."""
    return show(_outcomes())


def show(checks: Iterable[Check]) -> int:
    """Print a line for each check as it is done; return 0 if all that is required works, else 1."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    failed = 0
    for check in checks:
        failed += check.required and not check.ok
        word = "ok" if check.ok else "problem" if check.required else "note"
        fix = (f"; fix: {check.fix}" if check.fix else "", "bold")
        console.print(Text.assemble((f"{word:8}", STYLES[word]), f"{check.name:18}", check.found, fix))
    return 1 if failed else 0


def _outcomes() -> Iterator[Check]:
    looks: list[tuple[str, Callable[[], str], bool]] = [
        ("Python", _python, True),
        ("MPI library", _mpi_library, True),
        ("mpirun", _mpirun, True),
        ("thread level", _thread_level, True),
        ("oversubscription", _oversubscription, True),
        ("Horovod", _horovod, True),
        ("one-sided windows", _windows, True),
        ("shared windows", _shared_windows, True),
        ("/dev/shm", _shared_memory, True),
        *((data.title, functools.partial(_data, data), False) for data in DATA_SETS.values()),
        ("GPU", _gpu, False),
    ]
    for name, look, required in looks:
        try:
            yield Check(name, True, look(), required=required)
        except Problem as problem:
            yield Check(name, False, str(problem), problem.fix, required)
        except UserError as error:  # its line says what to do
            yield Check(name, False, str(error), required=required)


def _python() -> str:
    return f"{platform.python_version()} in {sys.prefix}"


def _mpi_library() -> str:
    version = mpi_env.library_version()
    if why := mpi_env.refusal(version):
        raise Problem(f"{version} must not be used: {why}", f"{SET_UP_AGAIN} (takes another MPI)")
    return version


def _mpirun() -> str:
    sizes = _probe("ranks")["sizes"]
    if sizes != [RANKS] * RANKS:
        found = f"started {RANKS} ranks, which see sizes {sizes}"
        raise Problem(found, f"mpirun and mpi4py belong to different MPIs: {SET_UP_AGAIN}")
    return f"{mpi_env.mpirun()} started {RANKS} ranks, each sees {RANKS}"


def _thread_level() -> str:
    level = _probe("ranks")["thread_level"]
    if level != "multiple":
        raise Problem(f"only {level}; Horovod's thread and ours call MPI at once", OTHER_MPI)
    return str(level)


def _oversubscription() -> str:
    cores = mpi_env.available_cores()
    variables = mpi_env.environment(RANKS, cores)
    version = mpi_env.library_version()
    switch = mpi_env.OVERSUBSCRIBE_5 if " v5" in version else mpi_env.OVERSUBSCRIBE_4
    if not version.startswith("Open MPI"):
        how = "this MPI needs no switch"
    elif switch in variables:
        how = f"on, {switch}={variables[switch]}"
    else:
        how = "off, the Slurm allocation says how many ranks there may be"
    return f"{how} ({cores} cores)"


def _horovod() -> str:
    answer = _probe("horovod")
    built_with = " and ".join(answer["built_with"])
    about = f"{answer['version']} with torch {answer['torch']}, built with {built_with}"
    if answer["controller"] != "mpi":
        raise Problem(f"{about}: its controller is not mpi", "unset HOROVOD_CONTROLLER")
    if not answer["same_ranks"]:
        raise Problem(f"{about}: its ranks are not mpi4py's", SET_UP_AGAIN)
    if not answer["right"]:
        raise Problem(f"{about}: the mean over {RANKS} ranks is wrong", SET_UP_AGAIN)
    return f"{about}; controller mpi on mpi4py's communicator, mean over {RANKS} ranks right"


def _windows() -> str:
    if wrong := _probe("windows")["wrong"]:
        raise Problem(f"{', '.join(wrong)} gave wrong values", OTHER_MPI)
    return f"lock, put, get, fetch-and-op and compare-and-swap between {RANKS} ranks right"


def _shared_windows() -> str:
    answer = _probe("shared")
    if not answer["right"]:
        raise Problem("ranks read wrong values", OTHER_MPI)
    return f"{answer['ranks_on_node']} ranks read each other's memory"


def _shared_memory() -> str:
    status = os.statvfs("/dev/shm")
    free = status.f_bavail * status.f_frsize
    if free < SHM_BYTES:
        fix = f"give the container at least {SHM_BYTES >> 20} MB (--shm-size)"
        raise Problem(f"only {free >> 20} MB free", fix)
    return f"{free >> 20} MB free"


def _data(data: DataSet) -> str:
    try:
        folder = data.find(DataFolders.from_environment())
    except ImportError as error:
        raise Problem(f"cannot look for it: {error}", SET_UP_AGAIN) from None
    if folder is None:
        raise Problem("not here", data.how)
    return f"in {folder}"


def _gpu() -> str:
    return ", ".join(_probe("horovod")["gpus"]) or "none that torch can use; runs take the CPU"


def _probe(part: str) -> dict[str, Any]:
    """Return what the ranks answered; raises Problem if they failed."""
    answer = _answer(part)
    if isinstance(answer, Problem):
        raise answer
    return answer


@functools.cache
def _answer(part: str) -> dict[str, Any] | Problem:
    """Start the ranks once for each part: `python -m mpi4py` ends them all when one of them fails."""
    ranks = mpi_env.command(RANKS, [sys.executable, "-m", "mpi4py", "-m", "repro.launch.probe", part])
    variables = os.environ | mpi_env.environment(RANKS, mpi_env.available_cores())
    pipe = subprocess.PIPE
    process = subprocess.Popen(ranks, env=variables, text=True, stdout=pipe, stderr=pipe)
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        _end(process)
        return Problem(f"{RANKS} ranks hung for {TIMEOUT_S:.0f} s", SET_UP_AGAIN)
    answers = [line for line in out.splitlines() if line.startswith("{")]
    if process.returncode or not answers:
        lines = [line.strip() for line in err.splitlines() if line.strip()] or ["no message"]
        reason = next((line for line in lines if "Error" in line), lines[-1])
        return Problem(f"{RANKS} ranks failed with exit code {process.returncode}: {reason}", SET_UP_AGAIN)
    answer: dict[str, Any] = json.loads(answers[-1])
    return answer


def _end(process: "subprocess.Popen[str]") -> None:
    """Ask mpirun to end its ranks; kill it if it does not."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
