"""`repro doctor`: what of MPI, Horovod, memory, data and GPU works, here or in an image, and how to mend the rest."""

import functools
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from repro.errors import UserError
from repro.launch import mpi_env
from repro.launch.container import Container, meeting_place
from repro.launch.launcher import Launcher, Local
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


@dataclass(frozen=True)
class Patient:
    """What is examined: the ranks that a launcher starts; `again` is how to set up what they run anew."""

    launcher: Launcher
    again: str = SET_UP_AGAIN


class Problem(Exception):
    """Something does not work; carries what was found and the fix."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(found)
        self.fix = fix


def examine(container: Container | None = None, launcher: Launcher | None = None) -> list[Check]:
    """Return the outcome of all checks; takes some 10 seconds, since it starts real ranks.

    Args:
        container: to examine in place of what is installed here.
        launcher: starts the ranks, in the container if there is one; by default on this machine.
    """
    return list(_outcomes(container, launcher))


def main(container: Container | None = None, launcher: Launcher | None = None) -> int:
    """Print a line for each check of `examine` as it is done; return 0 if all that is required works, else 1."""
    return show(_outcomes(container, launcher))


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


def _outcomes(container: Container | None, launcher: Launcher | None) -> Iterator[Check]:
    if container is None:
        patient = Patient(launcher or Local())
        first: list[tuple[str, Callable[[], str], bool]] = [
            ("Python", _python, True),
            ("MPI library", _mpi_library, True),
        ]
        last: list[tuple[str, Callable[[], str], bool]] = []
    else:
        patient = Patient(launcher or Local(container.python(meeting_place())), "make container")
        first = [
            ("image", functools.partial(_image, container), True),
            ("MPI outside", functools.partial(_mpi_outside, container), True),
            ("MPI inside", functools.partial(_mpi_inside, patient), True),
        ]
        last = [("ranks start with", functools.partial(_line, patient), True)]
    looks: list[tuple[str, Callable[[], str], bool]] = [
        *first,
        ("mpirun", functools.partial(_mpirun, patient), True),
        ("thread level", functools.partial(_thread_level, patient), True),
        ("oversubscription", functools.partial(_oversubscription, patient), True),
        ("Horovod", functools.partial(_horovod, patient), True),
        ("one-sided windows", functools.partial(_windows, patient), True),
        ("shared windows", functools.partial(_shared_windows, patient), True),
        ("/dev/shm", _shared_memory, True),
        *((data.title, functools.partial(_data, data), False) for data in DATA_SETS.values()),
        ("GPU", functools.partial(_gpu, patient), False),
        *last,
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


def _image(container: Container) -> str:
    return f"{container.identity}, commit {container.commit[:9]}, {container.mpi} ({container.abi})"


def _mpi_outside(container: Container) -> str:
    version = mpi_env.launcher_version()
    if why := mpi_env.refusal(version):
        raise Problem(f"{version} must not be used: {why}", OTHER_MPI)
    container.refuse_other_family(version)
    return f"{version} ({mpi_env.family_of(version)})"


def _mpi_inside(patient: Patient) -> str:
    answer = _probe("ranks", patient)
    version = answer["mpi"]
    if why := mpi_env.refusal(version):
        raise Problem(f"{version} must not be used: {why}", OTHER_MPI)
    return f"{version}, {answer['mpi_library']}"


def _line(patient: Patient) -> str:
    variables = patient.launcher.variables(RANKS).items()
    own = [f"{name}={value}" for name, value in variables if name.startswith(("OMPI_", "PRTE_", "HOROVOD_CON"))]
    return shlex.join([*own, *patient.launcher.on_ranks(RANKS, ["-m", "repro.launch.rank", "..."])])


def _mpirun(patient: Patient) -> str:
    sizes = _probe("ranks", patient)["sizes"]
    if sizes != [RANKS] * RANKS:
        found = f"started {RANKS} ranks, which see sizes {sizes}"
        raise Problem(found, f"mpirun and mpi4py belong to different MPIs: {patient.again}")
    return f"{mpi_env.mpirun()} started {RANKS} ranks, each sees {RANKS}"


def _thread_level(patient: Patient) -> str:
    level = _probe("ranks", patient)["thread_level"]
    if level != "multiple":
        raise Problem(f"only {level}; Horovod's thread and ours call MPI at once", OTHER_MPI)
    return str(level)


def _oversubscription(patient: Patient) -> str:
    cores = mpi_env.available_cores()
    variables = patient.launcher.variables(RANKS)
    version = _probe("ranks", patient)["mpi"]
    switch = mpi_env.OVERSUBSCRIBE_5 if " v5" in version else mpi_env.OVERSUBSCRIBE_4
    if not version.startswith("Open MPI"):
        how = "this MPI needs no switch"
    elif switch in variables:
        how = f"on, {switch}={variables[switch]}"
    else:
        how = "off, the Slurm allocation says how many ranks there may be"
    return f"{how} ({cores} cores)"


def _horovod(patient: Patient) -> str:
    answer = _probe("horovod", patient)
    built_with = " and ".join(answer["built_with"])
    about = f"{answer['version']} with torch {answer['torch']}, built with {built_with}"
    if answer["controller"] != "mpi":
        raise Problem(f"{about}: its controller is not mpi", "unset HOROVOD_CONTROLLER")
    if not answer["same_ranks"]:
        raise Problem(f"{about}: its ranks are not mpi4py's", patient.again)
    if not answer["right"]:
        raise Problem(f"{about}: the mean over {RANKS} ranks is wrong", patient.again)
    return f"{about}; controller mpi on mpi4py's communicator, mean over {RANKS} ranks right"


def _windows(patient: Patient) -> str:
    if wrong := _probe("windows", patient)["wrong"]:
        raise Problem(f"{', '.join(wrong)} gave wrong values", OTHER_MPI)
    return f"lock, put, get, fetch-and-op and compare-and-swap between {RANKS} ranks right"


def _shared_windows(patient: Patient) -> str:
    answer = _probe("shared", patient)
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


def _gpu(patient: Patient) -> str:
    return ", ".join(_probe("horovod", patient)["gpus"]) or "none that torch can use; runs take the CPU"


def _probe(part: str, patient: Patient) -> dict[str, Any]:
    """Return what the ranks answered; raises Problem if they failed."""
    answer = _answer(part, patient)
    if isinstance(answer, Problem):
        raise answer
    return answer


@functools.cache
def _answer(part: str, patient: Patient) -> dict[str, Any] | Problem:
    """Start the ranks once for each part: `python -m mpi4py` ends them all when one of them fails."""
    ranks = patient.launcher.on_ranks(RANKS, ["-m", "mpi4py", "-m", "repro.launch.probe", part])
    variables = os.environ | patient.launcher.variables(RANKS)
    pipe = subprocess.PIPE
    process = subprocess.Popen(ranks, env=variables, text=True, stdout=pipe, stderr=pipe)
    try:
        out, err = process.communicate(timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        _end(process)
        return Problem(f"{RANKS} ranks hung for {TIMEOUT_S:.0f} s", patient.again)
    answers = [line for line in out.splitlines() if line.startswith("{")]
    if process.returncode or not answers:
        lines = [line.strip() for line in err.splitlines() if line.strip()] or ["no message"]
        reason = next((line for line in lines if "Error" in line), lines[-1])
        return Problem(f"{RANKS} ranks failed with exit code {process.returncode}: {reason}", patient.again)
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
