"""What a run keeps of each step, on ranks that exchange, whose windows are locked, and that Horovod reduces over.

The whole, every method in both worlds over 100,000 steps, is `make load`.
"""

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from baselines import DPSGD, LargeBatch, SwarmPull
from tests.benchmarks.conftest import KeepFigure
from tests.load.memory import MOST_BYTES, forms, growth, run_of

STEPS = 20_000


@pytest.mark.mpi
@pytest.mark.horovod
@pytest.mark.parametrize("method", [DPSGD, SwarmPull, LargeBatch])
def test_bytes_kept_of_a_step(
    benchmark: BenchmarkFixture, keep_figure: KeepFigure, method: type, tmp_path: Path
) -> None:
    run = run_of(next(case for case in forms() if case.method is method), "mpi", STEPS)
    found = benchmark.pedantic(growth, args=(run, tmp_path), rounds=1)
    keep_figure(f"bytes kept of a step, at most: {run.algorithm}, {run.ranks} ranks", found.high, MOST_BYTES, "bytes")
    assert found.flat, found
