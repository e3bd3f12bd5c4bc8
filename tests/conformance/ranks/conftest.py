"""Every rank of an mpirun runs the checks of this folder; the first failure anywhere ends them all.

By hand: mpirun -n 3 python -m pytest -o python_files='check_*.py' tests/conformance/ranks
"""

from tests.mpi.ranks.conftest import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]
