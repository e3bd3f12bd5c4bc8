"""For every published value and every claim the word: does it reproduce?"""

import csv
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TextIO

from repro.errors import UserError
from repro.papers.paper import Cell, Claim, Paper, Study
from repro.report.guards import Problem
from repro.report.library import Library, read_library
from repro.report.matching import Setting
from repro.report.published import Published
from repro.report.statistics import NOT_ATTEMPTED, Finding, Verdict, Word, decide, equivalence
from repro.report.studies import of_paper
from repro.runs.place import Place
from repro.runs.provenance import commit_of
from repro.runs.record import Record
from repro.runs.study import StudyTable

MARGINS = {
    # Seeds of one CIFAR-10 recipe differ by a standard deviation of about 0.25 points, and a printed number
    # is mostly one run: at twice that, two honest repetitions of the same thing still count as equal.
    "test_top1_percent": 0.5,
}
"""For each metric that a record can be compared in, how far from the printed value still counts as equal."""


@dataclass(frozen=True)
class Judgement:
    """One row of `verdicts.csv`, whose columns are these fields up to `note`.

    `scale` and `world` are empty where nothing was attempted; `seeds` are those the finding rests on; `note`
    gives the reason for the word, and whatever else must be known to read it. `records` are the keys of the
    runs behind it; `workers` is set where they ran on another number of workers than the cells' own; `published`
    is the value where one is judged; `studies` are the folders of the tables behind it.
    """

    paper: str
    kind: str
    name: str
    statement: str
    source: str
    evidence: str
    scale: str
    world: str
    word: Word
    needs_more_seeds: int | None
    estimate: float
    low: float
    high: float
    unit: str
    region_low: float
    region_high: float
    seeds: tuple[int, ...]
    note: str
    records: tuple[str, ...] = ()
    workers: int | None = None
    published: Published | None = None
    studies: tuple[str, ...] = ()


COLUMNS = tuple(field.name for field in fields(Judgement))[:-4]


@dataclass(frozen=True)
class Verdicts:
    """All judgements, in the order of papers, values before claims.

    Args:
        problems: the records that were left out.
        suspects: those that were not, but should be looked at.
    """

    judgements: tuple[Judgement, ...]
    problems: tuple[Problem, ...]
    suspects: tuple[Problem, ...] = ()


def write_verdicts(results: Path, papers: Mapping[str, Paper]) -> Verdicts:
    """Judge everything, write `results`/verdicts.csv, and return the judgements.

    Raises:
        UserError: see `read_library`.
    """
    return save(results, judge(read_library(results), papers))


def save(results: Path, verdicts: Verdicts) -> Verdicts:
    """Write `results`/verdicts.csv."""
    results.mkdir(parents=True, exist_ok=True)
    with (results / "verdicts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for judgement in verdicts.judgements:
            writer.writerow([_text(getattr(judgement, column)) for column in COLUMNS])
    return verdicts


def judge(library: Library, papers: Mapping[str, Paper]) -> Verdicts:
    """Return the judgement of every published value and every claim."""
    judgements: list[Judgement] = []
    for key in [*papers, *sorted({value.paper for value in library.published} - papers.keys())]:
        paper = papers.get(key)
        for value in library.published:
            if value.paper == key:
                judgements += _judge_value(value, paper, library)
        if paper:
            for claim in paper.claims:
                judge_it = _judge_claim_on_studies if claim.studies else _judge_claim
                judgements += judge_it(paper, claim, library)
    warned = tuple(_warned(judgement, library) for judgement in judgements)
    return Verdicts(warned, library.problems, tuple(library.suspects.values()))


def _warned(judgement: Judgement, library: Library) -> Judgement:
    """Return the judgement with what its records give to think about."""
    fast = sum(key in library.suspects for key in judgement.records)
    commits = sorted({commit_of(library.records[key]) for key in judgement.records})
    warnings = [
        f"{fast} of its records converged suspiciously fast" if fast else "",
        f"its records are of {len(commits)} commits: {', '.join(commits)}" if len(commits) > 1 else "",
    ]
    return replace(judgement, note="; ".join(filter(None, [judgement.note, *warnings])))


def _entry(paper: Paper | None, name: str) -> Cell | Study | None:
    return next((entry for entry in paper.entries if entry.name == name), None) if paper else None


def _judge_value(value: Published, paper: Paper | None, library: Library) -> Iterator[Judgement]:
    subject = _Subject(value.paper, "value", value.cell, value.statement, value.source, value.evidence, published=value)
    cell = _entry(paper, value.cell)
    if cell is None:
        yield subject.not_attempted("no cell runs it")
        return
    if isinstance(cell, Study) or value.metric not in MARGINS or value.spread in ("at least", "at most"):
        yield subject.not_attempted("not measured as a number: see the claims")
        return
    attempted = False
    for setting in library.matching.settings:
        # printed numbers are compared with runs as printed, on the paper's own number of workers
        found = library.matching.records(cell, setting)
        if setting.scale != "paper" or setting.workers or not found:
            continue
        attempted = True
        ours = library.summary.loc[[record.run.key for record in found], value.metric].tolist()
        finding = equivalence(ours, value.value, MARGINS[value.metric], value.unit)
        yield subject.judged(setting, finding, decide(finding), found, _lacking({cell.name: found}, found))
    if not attempted:
        yield subject.not_attempted("no records at scale paper")


def _judge_claim(paper: Paper, claim: Claim, library: Library) -> Iterator[Judgement]:
    subject = _Subject(paper.key, "claim", claim.name, claim.statement, claim.source, claim.evidence)
    cells = tuple(paper.cell(name) for name in claim.cells)
    attempted = False
    for setting in library.matching.settings:
        if setting.scale not in claim.scales or setting.world not in claim.worlds:
            continue
        if library.matching.is_own(cells, setting):
            continue
        evidence = library.matching.evidence(paper, claim.cells, setting)
        if not evidence:
            continue
        attempted = True
        found = [record for rows in evidence.values() for record in rows]
        lacking = _lacking({cell.name: library.matching.records(cell, setting) for cell in cells}, found)
        try:
            finding = claim.test(evidence)
        except UserError as error:  # e.g. a number that should be exact differs between seeds
            yield subject.judged(setting, None, Verdict("inconclusive", str(error)), found, lacking)
        else:
            yield subject.judged(setting, finding, decide(finding), found, lacking)
    if not attempted:
        yield subject.not_attempted(f"no seed with records of all its cells at scale {' or '.join(claim.scales)}")


def _lacking(found: Mapping[str, Sequence[Record]], used: Sequence[Record]) -> list[str]:
    """Return which seeds, of those that cells have and the first ones, no number rests on, and for want of what.

    Args:
        found: all records of each cell, by its name.
    """
    seeds = {name: {record.run.seed for record in records} for name, records in found.items()}
    known = set.union(*seeds.values())
    left = (known | set(range(1, max(known)))) - {record.run.seed for record in used}
    lacking = {seed: ", ".join(name for name in seeds if seed not in seeds[name]) for seed in sorted(left)}
    return [f"seed {seed} is not used: no record of {names}" for seed, names in lacking.items()]


def _judge_claim_on_studies(paper: Paper, claim: Claim, library: Library) -> Iterator[Judgement]:
    subject = _Subject(paper.key, "claim", claim.name, claim.statement, claim.source, claim.evidence)
    attempted = False
    for scale in claim.scales:
        found = of_paper(library.studies, paper, claim.studies, scale)
        if not found:
            continue
        attempted = True
        finding: Finding | None = None
        try:
            finding = claim.test({name: [table.table for table in tables] for name, tables in found.items()})
            verdict = decide(finding)
        except UserError as error:
            verdict = Verdict("inconclusive", str(error))
        except LookupError as error:  # of another version of its study
            verdict = Verdict("inconclusive", f"a table lacks {error}")
        yield subject.judged_on_studies(scale, finding, verdict, [table for rows in found.values() for table in rows])
    if not attempted:
        yield subject.not_attempted(f"no tables of all its studies at scale {' or '.join(claim.scales)}")


@dataclass(frozen=True)
class _Subject:
    """What is judged: the part of a Judgement that does not depend on records."""

    paper: str
    kind: str
    name: str
    statement: str
    source: str
    evidence: str
    published: Published | None = None

    def not_attempted(self, reason: str) -> Judgement:
        return Judgement(
            **vars(self),
            scale="",
            world="",
            word="not attempted",
            needs_more_seeds=None,
            estimate=math.nan,
            low=math.nan,
            high=math.nan,
            unit="",
            region_low=math.nan,
            region_high=math.nan,
            seeds=(),
            note=reason,
        )

    def judged(
        self,
        setting: Setting,
        finding: Finding | None,
        verdict: Verdict,
        found: Sequence[Record],
        notes: Sequence[str] = (),
    ) -> Judgement:
        notes = [*notes]
        if setting.workers:
            notes.append(f"on {setting.workers} workers, not the cells' own number")
        if setting.world == "simulated":
            notes.append("simulated world: virtual time")
        return self._worded(
            finding,
            verdict,
            notes,
            scale=setting.scale,
            world=str(Place.common(record.run for record in found)),
            seeds=tuple(sorted({record.run.seed for record in found})),
            records=tuple(dict.fromkeys(record.run.key for record in found)),
            workers=setting.workers,
        )

    def judged_on_studies(
        self, scale: str, finding: Finding | None, verdict: Verdict, found: Sequence[StudyTable]
    ) -> Judgement:
        files = sorted({file for table in found for file in table.other_code})
        return self._worded(
            finding,
            verdict,
            [f"computed before {', '.join(files)} changed"] if files else [],
            scale=scale,
            world=", ".join(sorted({table.run.world for table in found})),
            seeds=tuple(sorted({table.run.seed for table in found})),
            studies=tuple(table.run.folder for table in found),
        )

    def _worded(self, finding: Finding | None, verdict: Verdict, also: Sequence[str], **basis: Any) -> Judgement:
        notes = [verdict.reason]
        word, needed = verdict.word, verdict.needs_more_seeds
        if self.evidence == "unverified":
            # from memory or a third party: a word would be about that, not about the paper
            notes = [f"the source is unverified; taken as printed, the test says: {word} ({verdict.reason})"]
            word, needed = "inconclusive", None
        if finding is not None and finding.note:
            notes.append(finding.note)
        interval = finding.interval if finding else None
        return Judgement(
            **vars(self),
            **basis,
            word=word,
            needs_more_seeds=needed,
            estimate=interval.estimate if interval else math.nan,
            low=interval.low if interval else math.nan,
            high=interval.high if interval else math.nan,
            unit=finding.unit if finding else "",
            region_low=finding.region[0] if finding else math.nan,
            region_high=finding.region[1] if finding else math.nan,
            note="; ".join([*notes, *also]),
        )


def _text(value: object) -> str:
    """Return a field as it is written: six digits, nothing for nan."""
    if value is None:
        return ""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    if isinstance(value, tuple):
        return " ".join(str(item) for item in value)
    return str(value)


def interval_text(low: float, high: float) -> str:
    """Return an interval or region in the usual brackets, `[0.1, 0.5]`, `>= 0.1` or `<= 0.5`."""
    if math.isnan(low):
        return "none"
    if math.isinf(low) and math.isinf(high):
        return "unbounded"
    if math.isinf(high):
        return f">= {low:.4g}"
    if math.isinf(low):
        return f"<= {high:.4g}"
    return f"[{low:.4g}, {high:.4g}]"


HEADINGS = (
    "paper",
    "kind",
    "name",
    "scale",
    "verdict",
    "estimate",
    "90 % interval",
    "holds in",
    "seeds",
    "why",
)
COLOURS = {"reproduced": "green", "not reproduced": "red", "inconclusive": "yellow", "not attempted": "dim"}


def print_verdicts(verdicts: Verdicts, file: TextIO | None = None) -> None:
    """Print what was attempted as a table, the rest as a count, and the records that were left out."""
    file = file or sys.stdout
    attempted = [judgement for judgement in verdicts.judgements if judgement.word != NOT_ATTEMPTED.word]
    rows = [_row(judgement) for judgement in attempted]
    if rows and file.isatty():
        _print_rich(rows, file)
    elif rows:
        from tabulate import tabulate

        widths = [None] * (len(HEADINGS) - 1) + [48]
        print(tabulate(rows, HEADINGS, disable_numparse=True, maxcolwidths=widths), file=file)
    counts = {word: sum(j.word == word for j in verdicts.judgements) for word in COLOURS}
    print("; ".join(f"{count} {word}" for word, count in counts.items()), file=file)
    for problem in verdicts.problems:
        print(f"left out: {problem.folder}: {problem.reason}", file=file)
    for suspect in verdicts.suspects:
        print(f"look at: {suspect.folder}: {suspect.reason}", file=file)


def _row(judgement: Judgement) -> list[str]:
    world = "" if judgement.world == "mpi" else f", {judgement.world}"
    estimate = "none" if math.isnan(judgement.estimate) else f"{judgement.estimate:.4g} {judgement.unit}".strip()
    return [
        judgement.paper,
        judgement.kind,
        judgement.name,
        judgement.scale + world,
        judgement.word,
        estimate,
        interval_text(judgement.low, judgement.high),
        interval_text(judgement.region_low, judgement.region_high),
        str(len(judgement.seeds)),
        judgement.note,
    ]


def _print_rich(rows: Sequence[Sequence[str]], file: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, overflow="fold", no_wrap=heading in ("name", "verdict"))
    for row in rows:
        table.add_row(*(Text(field, style=COLOURS.get(field, "")) for field in row))
    Console(file=file).print(table)
