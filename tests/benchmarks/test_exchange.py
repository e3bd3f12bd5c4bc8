"""Exchange-and-average between two ranks against plain MPI and against Horovod."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from repro.launch.mpi_env import available_cores, command, environment
from tests.benchmarks.conftest import Keep

PROGRAM = Path(__file__).parent / "programs" / "exchange.py"
ROOT = Path(__file__).parents[2]
SIZES = {"ResNet-20": (272_474, 200), "ResNet-18": (11_689_512, 25), "ResNet-50": (25_557_032, 15)}


@pytest.mark.mpi
@pytest.mark.timeout(300)
@pytest.mark.parametrize("model", SIZES)
@pytest.mark.parametrize(("against", "aim"), [("sendrecv", 1.25), ("horovod", 0.6)])
def test_exchange_and_average(benchmark, keep_ratio: Keep, against: str, aim: float, model: str) -> None:
    size, rounds = SIZES[model]
    start = command(2, [sys.executable, str(PROGRAM), str(size), str(rounds), against])
    variables = os.environ | environment(2, available_cores()) | {"PYTHONPATH": str(ROOT)}

    def both() -> dict[str, list[float]]:
        done = subprocess.run(start, env=variables, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1])

    measured = benchmark.pedantic(both, rounds=1)  # this time is the start of ranks; the ratio is what counts
    keep_ratio(f"exchange and average, {model}, against {against}", measured["ours"], measured["theirs"], aim)
