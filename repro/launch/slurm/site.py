"""A cluster, as one TOML file says it: what jobs ask for, and what starts ranks.

title = "..."
partition = "normal"                       # account, qos: likewise; all three by default the user's own
sbatch = ["--constraint=gpu"]              # more options for sbatch
setup = ["module load daint-gpu"]          # lines of the batch script before anything is started
launcher = "srun --mpi=pmix -n {ranks}"    # what starts the ranks of a run inside a job
mpi = "openmpi"                            # the family of the MPI that the launcher speaks to: openmpi or mpich
container = "apptainer exec"               # runs a command in an image; the image's path and the command follow
binds = ["/scratch"]                       # folders that are to be seen in the container
cores_per_node = 12
cores_per_rank = 12
gpus_per_node = 1
gpus_per_rank = 1
gpu_options = ["--gpus-per-task={gpus}"]   # of sbatch, for jobs with GPUs
concurrent = 8                             # elements of an array that may run at once
time = "04:00:00"                          # limit of an element
report_time = "00:30:00"                   # limit of the job that makes the report
signal_s = 90                              # seconds before the limit at which runs are told to save their state
"""

import shlex
import string
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_type_hints

from repro.errors import UserError
from repro.launch.slurm.times import limit_s
from repro.tomlfile import read_toml

FOLDER = Path(__file__).parent / "sites"

MOST = 10**9

FAMILIES = {"openmpi": "Open MPI", "mpich": "MPICH"}
"""Families of MPI libraries whose members start each other's ranks."""


def family_of(version: str) -> str:
    """Return the family, one of `FAMILIES`, of an MPI with this version text."""
    return "openmpi" if version.startswith("Open MPI") else "mpich"


@dataclass(frozen=True)
class Site:
    """A cluster; see the module for an example.

    Args:
        cores_per_node: None where it is not known; jobs then do not say how many nodes they want.
        gpus_per_node: likewise; 0 where there are none.
    """

    title: str
    launcher: str
    mpi: str = "openmpi"
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    sbatch: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    container: str = "apptainer exec"
    binds: tuple[str, ...] = ()
    cores_per_node: int | None = None
    cores_per_rank: int = 1
    gpus_per_node: int = 0
    gpus_per_rank: int = 0
    gpu_options: tuple[str, ...] = ("--gpus-per-task={gpus}",)
    concurrent: int = 8
    time: str = "01:00:00"
    report_time: str = "00:30:00"
    signal_s: int = 90

    def launcher_words(self, ranks: int, mpirun: str) -> list[str]:
        """Return the launcher's command line, for so many ranks."""
        return [
            _filled(word, ranks=ranks, cores=self.cores_per_rank, mpirun=mpirun) for word in shlex.split(self.launcher)
        ]

    def options_for_gpus(self, gpus: int) -> list[str]:
        """Return sbatch's options for jobs with so many GPUs a rank."""
        return [_filled(option, gpus=gpus) for option in self.gpu_options]

    @property
    def needs_mpirun(self) -> bool:
        """Whether the launcher is the mpirun beside Python."""
        return "{mpirun}" in self.launcher

    @property
    def ranks_per_node(self) -> int | None:
        """Ranks that a node has cores and GPUs for; None where that is not known."""
        if self.cores_per_node is None:
            return None
        limits = [self.cores_per_node // self.cores_per_rank]
        if self.gpus_per_rank:
            limits.append(self.gpus_per_node // self.gpus_per_rank)
        return min(limits)


def names() -> list[str]:
    """Return the names of the packaged sites."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name_or_path: str) -> Site:
    """Return a packaged site by its name, or the one in a file whose path ends in .toml.

    Raises:
        UserError: there is none, or its file says something that cannot be.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    elif name_or_path in names():
        path = FOLDER / f"{name_or_path}.toml"
    else:
        raise UserError(f"unknown site {name_or_path!r}; known: {', '.join(names())}, or the path of a .toml file")
    content, _ = read_toml(path, "site")
    try:
        return from_table(content)
    except UserError as error:
        raise UserError(f"site file {path}: {error}") from None


def from_table(content: Mapping[str, Any]) -> Site:
    """Return the site that a TOML table, or JSON, describes.

    Raises:
        UserError: it is none; the message names the key.
    """
    known = [field.name for field in fields(Site)]
    if unknown := [name for name in content if name not in known]:
        raise UserError(f"unknown key {unknown[0]!r}; known: {', '.join(known)}")
    for name in ("title", "launcher"):
        if name not in content:
            raise UserError(f"{name} is missing")
    hints = get_type_hints(Site)
    site = Site(**{name: _value(name, hints[name], value) for name, value in content.items()})
    if site.mpi not in FAMILIES:
        raise UserError(f"mpi is {site.mpi!r}; known: {', '.join(FAMILIES)}")
    for name in ("cores_per_rank", "concurrent", "signal_s"):
        if getattr(site, name) < 1:
            raise UserError(f"{name} must be at least 1, not {getattr(site, name)}")
    if site.ranks_per_node is not None and site.ranks_per_node < 1:
        raise UserError("a node has not the cores or GPUs of one rank")
    for name in ("time", "report_time"):
        limit_s(getattr(site, name))
    try:
        site.launcher_words(1, "mpirun")
        site.options_for_gpus(1)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"launcher and gpu_options know only {{ranks}}, {{cores}}, {{mpirun}}, {{gpus}}: {error}"
        ) from None
    try:
        shlex.split(site.container)
    except ValueError as error:
        raise UserError(f"container is no command line: {error}") from None
    if "{ranks}" not in site.launcher:
        raise UserError("launcher does not say {ranks}, the number of ranks to start")
    return site


def _filled(text: str, **values: object) -> str:
    """Return `text` with {name} replaced; `str.format` would also give attributes of the values, and any width.

    Raises:
        KeyError, ValueError: there is a {name} that is none of `values`, or a brace alone.
    """
    parts = []
    for before, name, width, conversion in string.Formatter().parse(text):
        if width or conversion:
            raise KeyError(f"{name}{':' if width else '!'}")
        parts += [before, "" if name is None else str(values[name])]
    return "".join(parts)


def _value(name: str, hint: Any, value: Any) -> Any:
    for text in value if isinstance(value, list | tuple) else [value]:
        if isinstance(text, str) and not text.isprintable():  # a line break would begin a line of the batch script
            raise UserError(f"{name} has a control character: {text!r}")
    if hint == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise UserError(f"{name} must be a list of texts, not {value!r}")
        return tuple(value)
    wanted, what = (int, "a whole number") if hint in (int, int | None) else (str, "a text")
    assert hint in (int, str, int | NoneType, str | NoneType)
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise UserError(f"{name} must be {what}, not {value!r}")
    if isinstance(value, int) and abs(value) > MOST:
        raise UserError(f"{name} is {value}, more than any cluster has")
    return value
