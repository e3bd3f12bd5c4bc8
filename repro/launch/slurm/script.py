"""Renders batch scripts from the template in `containers/`."""

import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from repro.errors import UserError
from repro.launch.slurm.arrays import Allocation, Array
from repro.launch.slurm.site import Site
from repro.runs.provenance import ROOT

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATE = ROOT / "containers" / "sbatch.j2"

PROBE_TIME = "00:10:00"

REPORT = Allocation("report", tasks=1, cores=1, gpus=0, nodes=1, exclusive=False)


def array_script(array: Array, site: Site, *, plan: Path, python: str, time: str, concurrent: int) -> str:
    """Return the script of a job array whose elements make the runs in the file `plan`."""
    # the shell is to replace the number of the element, so it is not quoted
    command = f"{shlex.join([python, '-m', 'repro.launch.slurm.element', str(plan)])} $SLURM_ARRAY_TASK_ID"
    return _render(
        allocation=array.allocation,
        site=site,
        name=f"repro-{array.allocation.name}",
        log=_log(plan.parent, f"{plan.stem}-%a.log"),
        time=time,
        elements=len(array.elements),
        concurrent=concurrent,
        command=command,
    )


def report_script(site: Site, *, folder: Path, results: Path, python: str) -> str:
    """Return the script of the job that makes the report, logged in `folder`."""
    return _render(
        allocation=REPORT,
        site=site,
        name="repro-report",
        log=_log(folder, "report.log"),
        time=site.report_time,
        elements=0,
        concurrent=0,
        command=shlex.join([python, "-m", "repro.cli", "report", "--results", str(results)]),
    )


def probe_script(site: Site, *, ranks: int, nodes: int | None, log: Path, command: str) -> str:
    """Return the script of the doctor's job, on so many nodes, so that the network between them is tried."""
    gpus = site.gpus_per_rank
    return _render(
        allocation=Allocation(
            "doctor", tasks=ranks, cores=site.cores_per_rank, gpus=gpus, nodes=nodes, exclusive=False
        ),
        site=site,
        name="repro-doctor",
        log=_log(log.parent, log.name),
        time=PROBE_TIME,
        elements=0,
        concurrent=0,
        command=command,
    )


def _log(folder: Path, name: str) -> str:
    """Return a log file as sbatch is told of it, in a comment: % stands for itself in the folder.

    Raises:
        UserError: the folder's name has a line break, which would end the comment.
    """
    if not str(folder).isprintable():
        raise UserError(f"Slurm's scripts cannot name the folder {str(folder)!r}, for its control characters")
    return shlex.quote(str(folder).replace("%", "%%") + f"/{name}")


def _render(**content: object) -> str:
    return _template().render(**content)


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["quote"] = shlex.quote
    return environment.from_string(TEMPLATE.read_text())
