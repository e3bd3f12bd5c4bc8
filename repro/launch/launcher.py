"""What starts the processes of a run: the command line before theirs, and the variables they need."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
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
@dataclass(frozen=True)
class Local(Launcher):
    """This machine, by mpirun.

    Attributes:
        python: the words that start Python, there or in a container.
        survive: whether ranks are to go on without one that has died.
    """

    python: tuple[str, ...] = (sys.executable,)
    survive: bool = False

    def on_ranks(self, ranks: int, arguments: Sequence[str]) -> list[str]:
        return command(ranks, [*self.python, *arguments], survive=self.survive)

    def alone(self, arguments: Sequence[str]) -> list[str]:
        return [*self.python, *arguments]

    def variables(self, ranks: int) -> dict[str, str]:
        return environment(ranks, available_cores())
