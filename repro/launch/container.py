"""Images of Apptainer: what one is, the command line that starts its Python, and whether an MPI fits it."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from repro.errors import UserError
from repro.launch.mpi_env import family_of
from repro.runs.provenance import CONTAINER_VARIABLE

PYTHON = "/opt/reprosgd/.venv/bin/python"
"""In the image, see `containers/`."""

RUNTIMES = ("apptainer", "singularity")
SPECIAL = frozenset(',:"$`\\')
"""What Apptainer does not take for itself in the options --bind and --env."""
ISOLATED = "-I"
"""Python's switch: neither the current folder's packages nor those in the user's home, which are seen inside, count."""


@final
@dataclass(frozen=True)
class Container:
    """An image file, and how a process is started in it.

    Attributes:
        image: the file, as an absolute path.
        commit: whose files of this suite it has.
        mpi: name and version of its MPI.
        abi: soname of its MPI library: Open MPI's libmpi.so.40, or libmpi.so.12 of MPICH and its kin.
        gpu: whether it is for NVIDIA GPUs.
        runtime: the words before the image, e.g. apptainer exec, or those of a site.
        mpi_folder: an MPI of the machine to use in place of the image's, with its libraries in lib/ (bind model); by
            default the image's own is started by the machine's mpirun or srun (hybrid model).
    """

    image: Path
    sha256: str
    commit: str
    mpi: str
    abi: str
    gpu: bool
    runtime: tuple[str, ...]
    mpi_folder: Path | None = None

    @property
    def identity(self) -> str:
        """Name and SHA-256 of the image, as records have it."""
        return f"{self.image.name} sha256:{self.sha256}"

    def python(self, binds: Iterable[Path]) -> tuple[str, ...]:
        """Return the command line that starts Python in the image, where the folders `binds` are seen, too.

        Raises:
            UserError: Apptainer cannot be told the name of one of them, or of the image.
        """
        folders = list(dict.fromkeys([*binds, *([self.mpi_folder] if self.mpi_folder else [])]))
        for path in (self.image.name, *map(str, folders)):
            if SPECIAL.intersection(path) or not path.isprintable():
                raise UserError(
                    f"images cannot be started with {path!r}: it has a control character or one of "
                    + " ".join(sorted(SPECIAL))
                )
        words = [*self.runtime, *(["--nv"] if self.gpu else [])]
        for folder in folders:
            words += ["--bind", str(folder)]
        words += ["--env", f"{CONTAINER_VARIABLE}={self.identity}"]
        if self.mpi_folder:
            # mpi4py's wheel asks this variable first; Horovod, which comes after it, finds that library loaded
            words += ["--env", f"MPI4PY_LIBMPI={self.mpi_folder}/lib/{self.abi}"]
            # the second is where --nv puts the driver's libraries
            words += ["--env", f"LD_LIBRARY_PATH={self.mpi_folder}/lib:/.singularity.d/libs"]
        return (*words, str(self.image), PYTHON, ISOLATED)

    def refuse_other_family(self, outside: str) -> None:
        """Check that an MPI with this version text can start the image's ranks.

        Raises:
            UserError: it is of another family, so that each rank would think it is alone.
        """
        if family_of(outside) != self.abi:
            raise UserError(
                f"{self.image.name} has {self.mpi} ({self.abi}), and ranks are started here by {outside}, which is of "
                "another family; use an image with that family's MPI (make container VARIANT=cpu or mpich), or another "
                "mpirun"
            )


def open_image(image: Path, runtime: Sequence[str] | None = None, mpi_folder: Path | None = None) -> Container:
    """Return the container of an image file.

    Args:
        runtime: the words before the image; by default `apptainer exec`, else `singularity exec`.
        mpi_folder: see Container.

    Raises:
        UserError: there is no such file or no runtime, the image is not one of this suite, or `mpi_folder` has no MPI
            that the image's programs can load.
    """
    if not image.is_file():
        raise UserError(f"no image {image}; `make container` builds one")
    runtime = tuple(runtime or (find_runtime(), "exec"))
    if shutil.which(runtime[0]) is None:
        raise UserError(f"no {runtime[0]} on PATH; load your machine's module of it")
    labels = _labels(runtime[0], image)
    try:
        commit, mpi, abi, variant = (
            labels[name]
            for name in (
                "org.opencontainers.image.revision", "org.reprosgd.mpi", "org.reprosgd.mpi-abi", "org.reprosgd.variant",
            )
        )  # fmt: skip
    except KeyError as missing:
        raise UserError(f"{image} has no label {missing}: `make container` builds images that have") from None
    if mpi_folder and not (mpi_folder / "lib" / abi).exists():
        raise UserError(f"{mpi_folder} has no lib/{abi}, which the programs in {image.name} load")
    with image.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    folder = mpi_folder.absolute() if mpi_folder else None
    return Container(image.absolute(), sha256, commit, mpi, abi, variant == "gpu", runtime, folder)


def find_runtime() -> str:
    """Return the name of the program that runs images; raises UserError if there is none on PATH."""
    for name in RUNTIMES:
        if shutil.which(name):
            return name
    raise UserError(f"neither {' nor '.join(RUNTIMES)} is on PATH; load your machine's module of it")


def folders_to_bind(results: Path, variables: Iterable[str]) -> list[Path]:
    """Return the folders that runs need inside: of the results, and of the paths among the values `variables`."""
    needed = [results]
    for value in variables:
        path = Path(value)
        if path.is_absolute() and path.exists():
            needed.append(path if path.is_dir() else path.parent)
    return needed


def meeting_place() -> list[Path]:
    """Return the folder in which mpirun and its ranks here meet, where it is not one that images see anyway."""
    temporary = os.environ.get("TMPDIR")
    return [Path(temporary)] if temporary else []


def _labels(runtime: str, image: Path) -> dict[str, str]:
    asked = subprocess.run([runtime, "inspect", "--json", "--labels", str(image)], capture_output=True, text=True)
    if asked.returncode:
        reason = (asked.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{runtime} cannot read {image}: {reason}")
    labels: dict[str, str] | None = json.loads(asked.stdout)["data"]["attributes"].get("labels")
    return labels or {}
