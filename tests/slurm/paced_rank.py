"""A rank that takes its time while a file says so: `python -m tests.slurm.paced_rank FILE SPEC RECORDS`.

It is `repro.launch.rank`, so that a test of time limits says how long a run takes, and not the machine.
"""

import sys
import time
from pathlib import Path

from repro.launch import rank
from repro.worker import Worker

GRADIENT_S = 0.2


def main(slow: Path, spec: Path, records: Path) -> None:
    """Run the rank."""
    gradient = Worker.gradient

    def paced(worker: Worker, *arguments: object) -> object:
        if slow.exists():
            time.sleep(GRADIENT_S)
        return gradient(worker, *arguments)  # type: ignore[arg-type]

    Worker.gradient = paced  # type: ignore[method-assign, assignment]
    rank.main(spec, records)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
