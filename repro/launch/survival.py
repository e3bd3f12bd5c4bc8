"""What runs need that are to go on without ranks that have died."""

from collections.abc import Sequence

from baselines import ALGORITHMS
from repro.errors import UserError
from repro.launch.mpi_env import launcher_version, told_of_deaths
from repro.launch.plan import PlannedRun
from repro.runs.spec import Run


def check_survival(to_do: Sequence[PlannedRun]) -> None:
    """Check that all runs can go on without ranks that have died, here.

    Raises:
        UserError: one is not on ranks, its method needs all of them, or the MPI does not tell ranks of a death.
    """
    able = [name for name, algorithm in ALGORITHMS.items() if algorithm.survives]
    for run in [planned.run for planned in to_do]:
        if not isinstance(run, Run) or run.world != "mpi":
            raise UserError(f"--survive is for runs on MPI ranks, and {run.folder} is not on any (--world mpi)")
        if run.algorithm not in able:
            raise UserError(f"{run.algorithm} needs all its ranks; --survive is for {' and '.join(able)}")
    if not told_of_deaths():
        raise UserError(
            f"--survive needs an Open MPI from version 5 on with its fault tolerance (ULFM); {launcher_version()} "
            "cannot tell ranks that one has died"
        )
