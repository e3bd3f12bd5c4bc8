"""Everything the report is made of, read once: the records that may be believed, and the published values."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from repro.report import studies
from repro.report.frames import Frames
from repro.report.guards import Problem, check
from repro.report.matching import Matching
from repro.report.measures import summary
from repro.report.published import Published, read_published
from repro.report.studies import StudyTables
from repro.report.suspects import too_fast
from repro.runs.record import Record
from repro.runs.store import Store
from repro.runs.study import Studies

if TYPE_CHECKING:
    import pandas as pd


PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"
"""The papers' printed values that come with the project, for results kept elsewhere."""


@dataclass(frozen=True)
class Library:
    """The contents of `results/`, as far as they come from runs and papers.

    Args:
        records: by their runs' keys.
        problems: records, and tables of studies, that were left out.
        suspects: by their keys, records that are not, but should be looked at.
        summary: one row a record, see `repro.report.measures`.
    """

    records: dict[str, Record]
    problems: tuple[Problem, ...]
    suspects: dict[str, Problem]
    frames: Frames
    summary: "pd.DataFrame"
    matching: Matching
    published: tuple[Published, ...]
    studies: StudyTables


def read_library(results: Path) -> Library:
    """Return what is in `results`.

    Raises:
        UserError: a record of another schema version, or a table of published values that breaks its schema.
    """
    checked = check(Store(results / "runs"))
    tables, changed = studies.check(Studies(results / "studies"))
    return Library(
        records=checked.records,
        problems=(*checked.problems, *changed),
        suspects=too_fast(checked.records, checked.frames),
        frames=checked.frames,
        summary=summary(
            checked.frames,
            {key for key, record in checked.records.items() if record.outcome.get("state") == "diverged"},
        ),
        matching=Matching(checked.records),
        published=tuple(read_published(own if (own := results / "published").is_dir() else PUBLISHED)),
        studies=tables,
    )
