"""Where mpirun is and which variables it needs to start ranks on this machine."""

import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from repro.errors import UserError

OVERSUBSCRIBE_5 = "PRTE_MCA_rmaps_default_mapping_policy"
OVERSUBSCRIBE_4 = "OMPI_MCA_rmaps_base_oversubscribe"

# Versions that went wrong where this suite was made, as the library and as `mpirun --version` print them.
_REFUSED = {
    r"Open MPI\)? v?4\.1\.4\b": "its compare-and-swap on a window crashes",
    r"(MPICH|HYDRA[^\n]*\n)\s*(Version:)?\s*4\.0\.2\b": "its fence after a put hangs or leaves wrong data",
}

_FAMILIES = {"Open MPI": "libmpi.so.40", "MPICH|Intel|MVAPICH|CRAY": "libmpi.so.12"}
"""Whose programs load a library of which soname; within a family the libraries can be exchanged."""


def mpirun() -> Path:
    """Return the mpirun beside this Python, else the one on PATH; raises UserError if there is none."""
    # The path is not resolved, since an environment's python is a link that leads out of it.
    beside = Path(sys.executable).parent / "mpirun"
    if beside.is_file():
        return beside
    if found := shutil.which("mpirun"):
        return Path(found)
    raise UserError("no mpirun beside Python or on PATH; run `make setup`, or load your machine's MPI module")


def launcher_version() -> str:
    """Return name and version of the mpirun; raises UserError if there is none, or it does not say."""
    program = mpirun()
    told = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=60).stdout
    # "mpirun (Open MPI) 5.0.11"; MPICH's, and those of its kin, begin "HYDRA build details:\n  Version:  5.0.2"
    found = re.search(r"(Open MPI|HYDRA|Intel\(R\) MPI)\D*([\d.]+)", told)
    if not found:
        raise UserError(f"{program} does not say of which MPI it is: {told.strip() or 'no answer'}")
    return f"{found[1].replace('HYDRA', 'MPICH')} {found[2]}"


def family_of(version: str) -> str | None:
    """Return the soname of the MPI library of an MPI with this version text, which programs of its family load."""
    return next((soname for pattern, soname in _FAMILIES.items() if re.search(pattern, version)), None)


@functools.cache
def library_version() -> str:
    """Return name and version of the MPI library; raises UserError if mpi4py cannot load it."""
    code = (
        "import mpi4py; mpi4py.rc.initialize = False\n"  # asking does not need a running MPI
        "from mpi4py import MPI; print(MPI.Get_library_version())"
    )
    probe = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    if probe.returncode:
        reason = (probe.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"mpi4py cannot load an MPI library ({reason}); run `make setup`")
    return name_and_version(probe.stdout)


def name_and_version(text: str) -> str:
    """Return the beginning of what an MPI library says of itself."""
    # Open MPI separates its fields by commas, MPICH by lines; both begin with name and version.
    return " ".join(re.split(r"[,\n]", text.strip("\x00 \n"))[0].split())


def refusal(version: str) -> str | None:
    """Return why the MPI with this version text must not be used, or None if nothing is known against it."""
    return next((why for pattern, why in _REFUSED.items() if re.search(pattern, version)), None)


def available_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0))


def environment(ranks: int, cores: int) -> dict[str, str]:
    """Return the variables to start `ranks` ranks on `cores` cores; values that the user has set win.

    Raises UserError if `ranks` is below 1.
    """
    if ranks < 1:
        raise UserError(f"the number of workers must be at least 1, not {ranks}")
    wanted = {
        # Open MPI refuses to start as root, which is who you are in most containers.
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        # Open MPI's UCX one-sided component fails on windows here; the others work.
        "OMPI_MCA_osc": "^ucx",
        # Ranks share the cores; a thread pool as wide as the machine in every rank would fight the others.
        "OMP_NUM_THREADS": str(max(1, cores // ranks)),
        # Milliseconds between two looks at the queue. The default 1 adds about 0.7 ms to every small
        # all-reduce; below 0.1 nothing is gained, and 0.1 costs the computing threads nothing measurable.
        "HOROVOD_CYCLE_TIME": "0.1",
        # The wheel has Gloo too; mpi4py and Horovod are to share MPI's ranks and MPI's sums.
        "HOROVOD_CONTROLLER": "mpi",
        "HOROVOD_CPU_OPERATIONS": "mpi",
        # Seconds until a rank missing from an all-reduce is named, and until the run is ended.
        "HOROVOD_STALL_CHECK_TIME_SECONDS": "60",
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "600",
        # MPI and Horovod read it; bare containers and schedulers do not always set it.
        "HOME": str(Path.home()),
    }
    if ranks > cores:
        # A waiting rank polls; let the rank it waits for have the core.
        wanted["OMPI_MCA_mpi_yield_when_idle"] = "1"
    if "SLURM_JOB_ID" not in os.environ:
        # A laptop's slots are its physical cores, so even ranks <= cores can need this. In a Slurm allocation
        # the slots are what was asked for, and the switch breaks Open MPI's mapping over nodes.
        wanted[OVERSUBSCRIBE_5] = ":oversubscribe"
        wanted[OVERSUBSCRIBE_4] = "1"
    return {name: os.environ.get(name, value) for name, value in wanted.items()}


def command(ranks: int, argv: Sequence[str], *, survive: bool = False) -> list[str]:
    """Return the command line that starts `argv` on `ranks` ranks; raises UserError if there is no mpirun.

    Args:
        survive: whether ranks are to be told that one has died, in place of being ended with it, see `told_of_deaths`.
    """
    # Unbound, since bound ranks of two runs at once would all sit on the first cores.
    return [str(mpirun()), *(("--with-ft", "ulfm") if survive else ()), "--bind-to", "none", "-n", str(ranks), *argv]


def told_of_deaths() -> bool:
    """Return whether the MPI can tell ranks that one has died: Open MPI from version 5 on, if it was built to."""
    program = mpirun().with_name("ompi_info")
    if not program.is_file():
        return False
    told = subprocess.run([str(program), "--parsable"], capture_output=True, text=True, timeout=60).stdout
    return "options:ft_mpi_support:yes" in told.split()
