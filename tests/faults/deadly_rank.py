"""A rank of a run in which several die: `python -m tests.faults.deadly_rank DEATHS FAULT SPEC RECORDS`, DEATHS being
JSON, rank -> step before which it dies."""

import json
import sys
import time
from pathlib import Path

from repro.launch import rank
from repro.worker import Worker
from tests.faults.faulty_rank import FAULTS


def main(deaths: dict[str, int], fault: str, spec: Path, records: Path) -> None:
    """Run the rank."""
    gradient = Worker.gradient

    def disturbed(worker: Worker, *arguments: object) -> object:
        if deaths.get(str(worker.rank)) == worker.steps:
            FAULTS[fault](worker)
        time.sleep(1e-3)  # so that a death is known before the others' end
        return gradient(worker, *arguments)  # type: ignore[arg-type]

    Worker.gradient = disturbed  # type: ignore[method-assign, assignment]
    rank.main(spec, records)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
