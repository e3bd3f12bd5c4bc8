"""What starts the processes of a run: the command line before theirs, and the variables they need."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

from repro.launch.mpi_env import available_cores, command, environment


class Launcher(ABC):
    """A way to start `python -m MODULE ARGUMENT...`, on ranks of MPI or alone."""

    @abstractmethod
    def on_ranks(self, ranks: int, arguments: Sequence[str]) -> list[str]:
        """Return the command line that starts Python with `arguments` on `ranks` ranks, which see each other."""

    @abstractmethod
    def alone(self, arguments: Sequence[str]) -> list[str]:
        """Return the command line that starts Python with `arguments` in one process."""

    @abstractmethod
    def variables(self, ranks: int) -> dict[str, str]:
        """Return the environment that `ranks` ranks need, beside what the user has set."""


@final
class Local(Launcher):
    """This machine, by mpirun."""

    def on_ranks(self, ranks: int, arguments: Sequence[str]) -> list[str]:
        return command(ranks, [sys.executable, *arguments])

    def alone(self, arguments: Sequence[str]) -> list[str]:
        return [sys.executable, *arguments]

    def variables(self, ranks: int) -> dict[str, str]:
        return environment(ranks, available_cores())
