"""How long workers wait for one that is four times slower: non-blocking SwarmSGD against D-PSGD."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean

import pytest

from repro.launch.mpi_env import available_cores, command, environment
from tests.benchmarks.conftest import Keep

PROGRAM = Path(__file__).parent / "programs" / "waiting.py"
ROOT = Path(__file__).parents[2]
RANKS, STEPS, FACTOR, BLOCKS = 4, 100, 4, 3


@pytest.mark.mpi
@pytest.mark.timeout(600)
def test_waiting_for_a_slow_worker(benchmark, keep_ratio: Keep) -> None:
    def waited(algorithm: str) -> float:
        """Mean seconds of the fast workers."""
        start = command(RANKS, [sys.executable, str(PROGRAM), algorithm, str(STEPS), str(FACTOR)])
        variables = os.environ | environment(RANKS, available_cores()) | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(start, env=variables, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return mean(json.loads(done.stdout.strip().splitlines()[-1])[: RANKS - 1])

    seconds: dict[str, list[float]] = {"swarm_nonblocking": [], "dpsgd": []}

    def alternate() -> None:
        for algorithm, kept in seconds.items():
            kept.append(waited(algorithm))

    benchmark.pedantic(alternate, rounds=BLOCKS)
    swarm, dpsgd = seconds.values()
    keep_ratio("waiting for a worker 4x slower, SwarmSGD against D-PSGD", swarm, dpsgd, 0.2)
