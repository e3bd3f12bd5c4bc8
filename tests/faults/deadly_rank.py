"""A rank of a run in which several die: `python -m tests.faults.deadly_rank DEATHS FAULT SPEC RECORDS`, DEATHS being
JSON, rank -> step before which it dies."""

import json
import sys
from pathlib import Path

from repro.launch import rank
from tests.faults.faulty_rank import disturb

GRADIENT_S = 1e-3
"""So that a death is known before the others' end."""


def main(deaths: dict[str, int], fault: str, spec: Path, records: Path) -> None:
    """Run the rank."""
    disturb(fault, {int(dead): step for dead, step in deaths.items()}, GRADIENT_S)
    rank.main(spec, records)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
