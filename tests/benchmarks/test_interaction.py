"""One-sided moves between two ranks against the bare operations on the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from repro.launch.mpi_env import available_cores, command, environment
from tests.benchmarks.conftest import Keep

PROGRAM = Path(__file__).parent / "programs" / "interaction.py"
ROOT = Path(__file__).parents[2]
BLOCKS, ROUNDS = 5, 12
SIZE = 11_689_512  # ResNet-18


@pytest.mark.mpi
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("ours", "bare", "what", "aim"),
    [
        ("swarm", "put", "non-blocking interaction, ResNet-18, against get + put", 1.5),
        ("easgd", "accumulate", "elastic update of a server, ResNet-18, against get + accumulate", 1.3),
    ],
    ids=["swarm", "easgd"],
)
def test_one_sided_move(benchmark, keep_ratio: Keep, ours: str, bare: str, what: str, aim: float) -> None:
    def block(way: str) -> float:
        """Median seconds of one start of 2 ranks."""
        start = command(2, [sys.executable, str(PROGRAM), str(SIZE), str(ROUNDS), way])
        variables = os.environ | environment(2, available_cores()) | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(start, env=variables, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stderr
        return median(json.loads(done.stdout.strip().splitlines()[-1]))

    seconds: dict[str, list[float]] = {ours: [], bare: []}

    def alternate() -> None:
        for way, kept in seconds.items():
            kept.append(block(way))

    benchmark.pedantic(alternate, rounds=BLOCKS)
    keep_ratio(what, seconds[ours], seconds[bare], aim)
