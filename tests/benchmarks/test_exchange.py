"""Exchange-and-average between two ranks against plain MPI and against Horovod."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from repro.launch.mpi_env import available_cores, command, environment
from tests.benchmarks.conftest import Keep

PROGRAM = Path(__file__).parent / "programs" / "exchange.py"
ROOT = Path(__file__).parents[2]
BLOCKS = 5
SIZES = {"ResNet-20": (272_474, 100), "ResNet-18": (11_689_512, 12), "ResNet-50": (25_557_032, 8)}


@pytest.mark.mpi
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", SIZES)
def test_exchange_and_average(benchmark, keep_ratio: Keep, model: str) -> None:
    size, rounds = SIZES[model]

    def block(way: str) -> float:
        """Median seconds of one start of 2 ranks; each way has its own, since a live Horovod slows everything else."""
        start = command(2, [sys.executable, str(PROGRAM), str(size), str(rounds), way])
        variables = os.environ | environment(2, available_cores()) | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(start, env=variables, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return median(json.loads(done.stdout.strip().splitlines()[-1]))

    seconds: dict[str, list[float]] = {"ours": [], "sendrecv": [], "horovod": []}

    def alternate() -> None:
        for way, kept in seconds.items():
            kept.append(block(way))

    benchmark.pedantic(alternate, rounds=BLOCKS)  # this times the starts too; the ratios are what counts
    for against, aim in (("sendrecv", 1.25), ("horovod", 0.6)):
        what = f"exchange and average, {model}, against {against}"
        keep_ratio(what, seconds["ours"], seconds[against], aim)
