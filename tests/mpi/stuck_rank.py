"""A rank of a run that stands still: `python -m tests.mpi.stuck_rank WAY SPEC RECORDS`.

It is `repro.launch.rank`, but after a few steps the ranks do what `WAY` of `standstill.py` says, and nothing more.
"""

import sys
import time
from pathlib import Path

from baselines import ALGORITHMS
from baselines.algorithm import Algorithm
from repro.launch import rank
from tests.mpi import standstill

STEPS = 3


def main(way: str, spec: Path, records: Path) -> None:
    """Run the rank."""
    for method in ALGORITHMS.values():
        _stand_still(method, way, records.parent / "still")
    rank.main(spec, records)


def _stand_still(method: type[Algorithm], way: str, told: Path) -> None:
    step = method.step

    def or_stand_still(algorithm: Algorithm) -> None:
        if algorithm.worker.steps == STEPS:
            told.touch()
            getattr(standstill, way)(algorithm.comm)
            time.sleep(standstill.FOR_EVER_S)
        step(algorithm)

    method.step = or_stand_still  # type: ignore[method-assign]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
