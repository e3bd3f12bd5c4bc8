"""Runs the checks of `ranks/` under mpirun at several sizes, each start with a hard limit and nothing left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mpi.start import members, mpirun, runs, wait_until

RANKS = Path(__file__).parent / "ranks"
LIMIT_S = 600.0
PYTEST = [
    sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider", "-p", "no:hypothesispytest",
    "-o", "addopts=", "-o", "faulthandler_timeout=90", "-o", "python_files=check_*.py", str(RANKS),
]  # fmt: skip
pytestmark = pytest.mark.mpi


def told(folder: Path) -> str:
    """What the ranks that failed wrote, else the end of all output."""
    reports = [path.read_text() for path in sorted(folder.glob("failed-rank-*.txt"))]
    return "\n".join(reports) or (folder / "output.txt").read_text(errors="replace")[-6000:]


@pytest.mark.timeout(LIMIT_S + 30)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_all_checks_hold_on_every_rank(size: int, tmp_path: Path) -> None:
    with mpirun(size, PYTEST, tmp_path) as process:
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{size} ranks did not end within {LIMIT_S:.0f} s:\n{told(tmp_path)}", pytrace=False)
        stayed = members(process.pid)
    if code != 0:
        pytest.fail(f"exit code {code} on {size} ranks:\n{told(tmp_path)}", pytrace=False)
    summary = (tmp_path / "output.txt").read_text()
    assert summary.count(" passed") == size  # each rank ran them, and says so
    assert stayed == []


HANGING = """
import os, time
from pathlib import Path
from mpi4py import MPI

rank = MPI.COMM_WORLD.rank
Path(os.environ["RANK_REPORTS"], f"pid-{rank}").write_text(str(os.getpid()))
if rank == 0:
    time.sleep(1000)
MPI.COMM_WORLD.Barrier()
"""

FAILING = """
import pytest
from mpi4py import MPI

def test_one_rank_fails_and_the_others_wait():
    assert MPI.COMM_WORLD.rank != 1, "this rank has a reason"
    MPI.COMM_WORLD.Barrier()
"""


def test_ranks_that_hang_are_ended_and_none_stays_behind(tmp_path: Path) -> None:
    files = [tmp_path / f"pid-{rank}" for rank in range(2)]
    with mpirun(2, [sys.executable, "-c", HANGING], tmp_path) as process:
        wait_until(lambda: all(file.exists() and file.read_text() for file in files))
        assert process.poll() is None
        pids = [int(file.read_text()) for file in files]
        assert set(pids) <= {member.pid for member in members(process.pid)}
    assert members(process.pid) == []
    assert not any(runs(pid) for pid in pids)


def test_one_failing_rank_ends_the_others_and_is_shown(tmp_path: Path) -> None:
    (tmp_path / "check_failing.py").write_text(FAILING)
    (tmp_path / "conftest.py").write_text((RANKS / "conftest.py").read_text())
    with mpirun(2, [*PYTEST[:-1], str(tmp_path)], tmp_path) as process:
        code = process.wait(60)
    assert code != 0
    assert "rank 1 of 2" in told(tmp_path)
    assert "this rank has a reason" in told(tmp_path)
    assert members(process.pid) == []
