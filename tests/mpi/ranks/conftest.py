"""Every rank of an mpirun runs the checks of this folder in the same order; the first failure anywhere ends them all,
since the other ranks would wait for the one that failed.

By hand: mpirun -n 3 python -m pytest -o python_files='check_*.py' tests/mpi/ranks
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from mpi4py import MPI

from repro.worlds.mpi import MpiComm

CAPACITY = 70_001
TIMEOUT_S = 30.0
ENGINES = ("mpi", "horovod")


@pytest.fixture(scope="session")
def horovod_comm() -> Iterator[MpiComm]:
    """The one Comm on Horovod: it can be started once in a process."""
    comm = MpiComm(MPI.COMM_WORLD, CAPACITY, allreduce="horovod", timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


@pytest.fixture(scope="module", params=ENGINES)
def reducing(request: pytest.FixtureRequest) -> Iterator[MpiComm]:
    """A Comm for each engine of all-reduces."""
    if request.param == "horovod":
        yield request.getfixturevalue("horovod_comm")
        return
    comm = MpiComm(MPI.COMM_WORLD, CAPACITY, allreduce=request.param, timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


@pytest.fixture(scope="module", params=[True, False], ids=["shared-memory", "messages"])
def comm(request: pytest.FixtureRequest) -> Iterator[MpiComm]:
    """A Comm that exchanges through shared memory, and one that sends messages."""
    comm = MpiComm(MPI.COMM_WORLD, CAPACITY, shared_memory=request.param, timeout_s=TIMEOUT_S)
    yield comm
    comm.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        rank, size = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
        told = f"rank {rank} of {size}: {report.nodeid}, {report.when}\n{report.longreprtext}\n"
        for title, text in report.sections:
            told += f"-- {title}\n{text}\n"
        Path(os.environ.get("RANK_REPORTS", "."), f"failed-rank-{rank}.txt").write_text(told)
        MPI.COMM_WORLD.Abort(1)
    return report
