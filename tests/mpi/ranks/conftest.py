"""Every rank of an mpirun runs the checks of this folder in the same order; the first failure anywhere ends them all,
since the other ranks would wait for the one that failed.

By hand: mpirun -n 3 python -m pytest -o python_files='check_*.py' tests/mpi/ranks
"""

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from mpi4py import MPI


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
