"""Starts the ranks of a run inside a Slurm job, by the line of its site."""

import sys
from collections.abc import Sequence
from typing import final

from repro.launch.launcher import Launcher
from repro.launch.mpi_env import environment, mpirun
from repro.launch.slurm.site import Site


@final
class Slurm(Launcher):
    """The job it is called in.

    Args:
        python: the command that runs Python, also on other nodes; where runs are made in a container, one that enters
            it.
    """

    def __init__(self, site: Site, python: Sequence[str] = (sys.executable,)) -> None:
        self._site = site
        self._python = tuple(python)

    def on_ranks(self, ranks: int, arguments: Sequence[str]) -> list[str]:
        beside = str(mpirun()) if self._site.needs_mpirun else ""
        return [*self._site.launcher_words(ranks, beside), *self._python, *arguments]

    def alone(self, arguments: Sequence[str]) -> list[str]:
        return [*self._python, *arguments]

    def variables(self, ranks: int) -> dict[str, str]:
        return environment(ranks, ranks * self._site.cores_per_rank)
