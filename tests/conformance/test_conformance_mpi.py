"""Runs the checks of `ranks/` under mpirun, with a hard limit and nothing left behind."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.mpi.start import members, mpirun
from tests.mpi.test_ranks import PYTEST, told

RANKS = Path(__file__).parent / "ranks"
SIZE = 8  # enough for groups of all sizes, see ranks/check_conformance.py
LIMIT_S = 1200.0
pytestmark = [pytest.mark.mpi, pytest.mark.slow]


@pytest.mark.timeout(LIMIT_S + 30)
def test_every_algorithm_has_every_property_on_real_ranks(tmp_path: Path) -> None:
    with mpirun(SIZE, [*PYTEST[:-1], str(RANKS)], tmp_path) as process:
        try:
            code = process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the ranks did not end within {LIMIT_S:.0f} s:\n{told(tmp_path)}", pytrace=False)
        stayed = members(process.pid)
    if code != 0:
        pytest.fail(f"exit code {code}:\n{told(tmp_path)}", pytrace=False)
    passed = [int(count) for count in re.findall(r"(\d+) passed", (tmp_path / "output.txt").read_text())]
    assert len(passed) == SIZE  # each rank ran them, and says so
    assert min(passed) > 100
    assert stayed == []
