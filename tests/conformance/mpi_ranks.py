"""Ranks of an mpirun, each of which runs the tests."""

from functools import cached_property

from mpi4py import MPI

from repro.worlds.mpi import MpiComm
from tests.conformance.worlds import Program, Ranks, T

CAPACITY = 1000
TIMEOUT_S = 60.0


class MpiRanks(Ranks):
    """The ranks of a communicator; all-reduces are mpi4py's, which `tests/mpi` compares with Horovod's."""

    repeats = False

    def __init__(self, communicator: MPI.Intracomm) -> None:
        self.communicator, self.size = communicator, communicator.size
        self.name = f"mpi-{self.size}"

    @cached_property
    def comm(self) -> MpiComm:
        """One Comm for all programs, opened when the first is run."""
        return MpiComm(self.communicator, CAPACITY, allreduce="mpi", timeout_s=TIMEOUT_S)

    def run(self, program: Program[T]) -> list[T]:
        self.comm.step = 0
        return self.communicator.allgather(program(self.comm, None))

    def close(self) -> None:
        """Free what was opened."""
        self.comm.close()


def group(sizes: tuple[int, ...]) -> MpiRanks:
    """Return this rank's group when all ranks are split into groups of these sizes."""
    number = [index for index, size in enumerate(sizes) for _ in range(size)][MPI.COMM_WORLD.rank]
    return MpiRanks(MPI.COMM_WORLD.Split(number))
