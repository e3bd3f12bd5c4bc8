"""The appendix of artifact description and evaluation (AD/AE), filled in from the records: claims x artifacts x
figures, with the minutes that the runs behind them took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.papers.paper import Claim, Paper
from repro.report.library import Library
from repro.report.recordlist import ENVIRONMENT, commit_of
from repro.report.templates import template
from repro.report.verdicts import Judgement, Verdicts, interval_text
from repro.runs.record import Record
from repro.runs.study import StudyTable

MACHINE = tuple(key for key in ENVIRONMENT if key != "platform")
"""What tells machines apart that results were made on; the platform is the one that was simulated."""


@dataclass(frozen=True)
class ClaimLine:
    """One judged claim: what it says, what shows it, how to make that again, and how long it took.

    Args:
        minutes: wall minutes of the runs and studies behind it, one after the other; runs may serve several claims.
    """

    judgement: Judgement
    verdict: str
    interval: str
    command: str
    artifacts: tuple[str, ...]
    figures: tuple[str, ...]
    minutes: float


@dataclass(frozen=True)
class PaperPart:
    """A paper with its claims, those not attempted as names, and the minutes of all its runs together."""

    title: str
    reference: str
    command: str
    claims: tuple[ClaimLine, ...]
    not_attempted: tuple[str, ...]
    runs: int
    minutes: float


@dataclass(frozen=True)
class Machine:
    """One environment that results were made in, and how many."""

    results: int
    items: tuple[tuple[str, str], ...]


def appendix(papers: Mapping[str, Paper], library: Library, verdicts: Verdicts, figures: Sequence[str]) -> str:
    """Return the appendix as Markdown.

    Args:
        figures: names of the figures there are, without suffix.
    """
    parts = [_part(paper, library, verdicts, figures) for paper in papers.values()]
    results = results_of(library)
    return template("appendix.md.j2").render(
        parts=[part for part in parts if part.runs],
        empty=[part.title for part in parts if not part.runs],
        machines=machines(library),
        commits=sorted({commit_of(result) for result in results}),
        num_records=len(library.records),
        num_tables=len(library.studies),
        minutes=_minutes(results),
        problems=verdicts.problems,
    )


def results_of(library: Library) -> list[Record | StudyTable]:
    """Return all records and tables of studies."""
    return [*library.records.values(), *library.studies.values()]


def machines(library: Library) -> list[Machine]:
    """Return the environments of all results, the most frequent first."""
    found: dict[tuple[tuple[str, str], ...], int] = {}
    for result in results_of(library):
        items = tuple(
            (key, _words(value)) for key in MACHINE if (value := result.provenance.get(key)) not in (None, "", {})
        )
        found[items] = found.get(items, 0) + 1
    return [Machine(count, items) for items, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))]


def _part(paper: Paper, library: Library, verdicts: Verdicts, figures: Sequence[str]) -> PaperPart:
    claims = {claim.name: claim for claim in paper.claims}
    own = [judgement for judgement in verdicts.judgements if judgement.paper == paper.key and judgement.kind == "claim"]
    lines = tuple(
        _line(paper, claims[judgement.name], judgement, library, figures) for judgement in own if _has(judgement)
    )
    of_cells = {
        record.run.key: record
        for cell in paper.cells
        for setting in library.matching.settings
        for record in library.matching.records(cell, setting)
    }
    results: list[Record | StudyTable] = [
        *of_cells.values(),
        *(table for table in library.studies.values() if table.run.paper == paper.key),
    ]
    return PaperPart(
        title=paper.title,
        reference=paper.reference,
        command=f"repro reproduce {paper.key}",
        claims=lines,
        not_attempted=tuple(judgement.name for judgement in own if not _has(judgement)),
        runs=len(results),
        minutes=_minutes(results),
    )


def _has(judgement: Judgement) -> bool:
    return bool(judgement.records or judgement.studies)


def _line(paper: Paper, claim: Claim, judgement: Judgement, library: Library, figures: Sequence[str]) -> ClaimLine:
    records = [library.records[key] for key in judgement.records]
    tables = [library.studies[folder] for folder in judgement.studies]
    names = [f"{paper.key}.{name}" for name in claim.cells or claim.studies]
    groups = {group for name in claim.cells for group in paper.cell(name).groups or (paper.key,)}
    starts = tuple(f"{start}-{judgement.scale}-" for start in sorted({*groups, *(names if claim.studies else ())}))
    seeds = len(judgement.seeds)
    options = f" --scale {judgement.scale}" + (f" --seeds {max(judgement.seeds)}" if seeds > 1 else "")
    return ClaimLine(
        judgement=judgement,
        verdict=judgement.word,
        interval=interval_text(judgement.low, judgement.high),
        command=f"repro run {' '.join(names)}{options}",
        artifacts=(
            *(f"runs/{record.folder.name}" for record in records),
            *(f"studies/{table.folder.name}" for table in tables),
        ),
        figures=tuple(figure for figure in figures if figure.startswith(starts)),
        minutes=_minutes([*records, *tables]),
    )


def _minutes(results: Sequence[Record | StudyTable]) -> float:
    return sum(result.outcome.get("wall_s") or 0.0 for result in results) / 60


def _words(value: object) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else str(value)


def figure_names(results: Path) -> list[str]:
    """Return the names of the figures in `results`, without suffix."""
    return sorted(path.stem for path in (results / "figures").glob("*.csv"))
