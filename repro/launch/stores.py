"""What is finished, in one folder of results."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.runs.folders import Folders
from repro.runs.spec import Run
from repro.runs.store import Store
from repro.runs.study import Studies, StudyRun


@dataclass(frozen=True)
class Stores:
    """The records of runs and the tables of studies."""

    records: Store
    studies: Studies

    @staticmethod
    def of(results: Path) -> "Stores":
        """Return those in the folder `results`."""
        return Stores(Store(results / "runs"), Studies(results / "studies"))

    def of_run(self, run: Run | StudyRun) -> Folders:
        """Return where what `run` leaves is kept."""
        return self.studies if isinstance(run, StudyRun) else self.records

    def has(self, run: Run | StudyRun) -> bool:
        """Whether `run` is finished."""
        return self.of_run(run).has(run)

    def provenance(self, run: Run | StudyRun) -> dict[str, Any]:
        """Return where what `run` left comes from."""
        return (self.studies.get(run) if isinstance(run, StudyRun) else self.records.get(run)).provenance
