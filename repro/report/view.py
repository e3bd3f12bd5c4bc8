"""What the report shows, as plain text and links, ready for the templates."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from repro.papers.paper import Paper
from repro.report.figures import Figure
from repro.report.grouping import groups, panels
from repro.report.guards import Problem
from repro.report.library import Library
from repro.report.measures import Measure
from repro.report.published import SPREADS, Published
from repro.report.recordlist import (
    HEADINGS,
    Environment,
    RecordGroup,
    anchor_of,
    group_anchor_of,
    record_list,
)
from repro.report.statistics import WORDS, Word
from repro.report.studies import StudyTables
from repro.report.tables import CAPTION, COMMUNICATION_CAPTION, Row, heading, measured, shown
from repro.report.verdicts import Judgement, Verdicts, interval_text
from repro.runs.provenance import commit_of
from repro.runs.record import Record
from repro.runs.spec import SCALES
from repro.runs.study import StudyTable


@dataclass(frozen=True)
class Link:
    """Text that leads to an anchor of the page."""

    text: str
    anchor: str


LOOKS = (
    "Intervals are not corrected for the number of claims, nor for looking again: every verdict uses all seeds there "
    "are, and adding seeds until a verdict is liked makes its error larger than 5 %, so fix their number first. Of "
    "claims whose truth lies on the edge of the region, up to one in twenty is called reproduced by chance."
)
STUDY_HEADINGS = ("table", "scale", "numbers", "seed", "rows", "commit", "code", "wall s", "started (UTC)", "on")


FILES_NAMED = 3
"""How many of a study's files that have changed since are named; study.json has all."""


@dataclass(frozen=True)
class StudyRow:
    """One table of a study: its anchor, its folder, and the fields under `STUDY_HEADINGS` after the first."""

    anchor: str
    folder: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One judgement as it is shown; `printed` and what is below it are empty where they do not apply."""

    judgement: Judgement
    where: str
    setting: str
    metric: str
    printed: str
    estimate: str
    interval: str
    region: str
    seeds: str
    runs: tuple[Link, ...]


@dataclass(frozen=True)
class StudyView:
    """A study with the figures of its tables, and the tables themselves under `STUDY_HEADINGS`."""

    name: str
    title: str
    source: str
    tables: tuple[StudyRow, ...]
    figures: tuple[Figure, ...]


Tally = Mapping[Word, int]
"""How many judgements fell to each word."""


@dataclass(frozen=True)
class PaperView:
    """A paper with its judgements and results.

    Args:
        idle: values not attempted.
        own: the groups of results that no other paper is part of.
        shared: names of those that others are part of, too.
    """

    key: str
    title: str
    reference: str
    claims: tuple[Line, ...]
    values: tuple[Line, ...]
    idle: tuple[Line, ...]
    claim_tally: Tally
    value_tally: Tally
    own: "tuple[GroupView, ...]"
    shared: tuple[str, ...]
    studies: tuple[StudyView, ...]

    @property
    def anchor(self) -> str:
        """The anchor of its page."""
        return f"paper-{self.key}"


@dataclass(frozen=True)
class TableRow:
    """A row of a results table: what the runs were, links to the single seeds, then the numbers."""

    label: str
    anchor: str
    setting: tuple[str, ...]
    seeds: tuple[Link, ...]
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class GroupView:
    """The results of one group of cells, and the same rows with what is about communication."""

    name: str
    headings: tuple[str, ...]
    rows: tuple[TableRow, ...]
    communication_headings: tuple[str, ...]
    communication: tuple[TableRow, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Page:
    """Everything in the report; `shared`: the groups of results that several papers are part of."""

    words: tuple[Word, ...]
    num_records: int
    commits: tuple[str, ...]
    period: str
    problems: tuple[Problem, ...]
    suspects: tuple[Problem, ...]
    papers: tuple[PaperView, ...]
    groups: tuple[GroupView, ...]
    shared: tuple[GroupView, ...]
    study_headings: tuple[str, ...]
    record_headings: tuple[str, ...]
    record_groups: tuple[RecordGroup, ...]
    environments: tuple[Environment, ...]
    table_caption: str = CAPTION
    communication_caption: str = COMMUNICATION_CAPTION
    looks: str = LOOKS

    @property
    def studies(self) -> tuple[StudyView, ...]:
        """All papers' studies."""
        return tuple(study for paper in self.papers for study in paper.studies)

    @property
    def anchors(self) -> tuple[str, ...]:
        """The anchors of the pages of the HTML file, of which one is seen at a time."""
        groups = (f"group-{group.name}" for group in self.shared)
        return "overview", *(paper.anchor for paper in self.papers), *groups, "records"


def page_of(
    papers: Mapping[str, Paper],
    library: Library,
    verdicts: Verdicts,
    tables: Mapping[str, list[Row]],
    figures: Sequence[Figure],
) -> Page:
    """Return the page of these results."""
    labels = {
        key: f"{series.method} n={panel.setting.workers}" if panel.sweeps else series.method
        for panel in panels(papers, library.matching)
        for series in panel.series
        for key in series.keys
    }
    keys = dict.fromkeys([*papers, *(judgement.paper for judgement in verdicts.judgements)])
    record_groups, environments = record_list(library, labels)
    views = {name: _group_view(name, rows, figures) for name, rows in tables.items()}
    return Page(
        words=WORDS,
        num_records=len(library.records),
        commits=tuple(sorted({commit_of(result) for result in _results(library)})),
        period=_period(library),
        problems=library.problems,
        suspects=verdicts.suspects,
        papers=tuple(_paper_view(key, papers, verdicts, library, labels, views, figures) for key in keys),
        groups=tuple(views.values()),
        shared=tuple(view for name, view in views.items() if len(_papers_of(papers, name)) > 1),
        study_headings=STUDY_HEADINGS,
        record_headings=HEADINGS,
        record_groups=record_groups,
        environments=environments,
    )


def _period(library: Library) -> str:
    """Return the first and last day of runs and studies, or nothing where records do not say."""
    days = sorted(str(result.outcome.get("started_utc", ""))[:10] for result in _results(library))
    known = [day for day in days if day]
    return " to ".join(dict.fromkeys([known[0], known[-1]])) if known else ""


def _results(library: Library) -> list[Record | StudyTable]:
    return [*library.records.values(), *library.studies.values()]


def _paper_view(
    key: str,
    papers: Mapping[str, Paper],
    verdicts: Verdicts,
    library: Library,
    labels: Mapping[str, str],
    views: Mapping[str, GroupView],
    figures: Sequence[Figure],
) -> PaperView:
    paper = papers.get(key)
    part_of = [group for group in (groups({key: paper}) if paper else ()) if group in views]
    own = [judgement for judgement in verdicts.judgements if judgement.paper == key]
    claims = [judgement for judgement in own if judgement.kind == "claim"]
    values = [judgement for judgement in own if judgement.kind == "value"]
    return PaperView(
        key=key,
        title=paper.title if paper else key,
        reference=paper.reference if paper else "Published values only: nothing of it runs yet.",
        claims=tuple(_line(judgement, library, labels) for judgement in claims),
        values=tuple(_line(judgement, library, labels) for judgement in values if judgement.records),
        idle=tuple(_line(judgement, library, labels) for judgement in values if not judgement.records),
        claim_tally=_tally(claims),
        value_tally=_tally(values),
        own=tuple(views[group] for group in part_of if len(_papers_of(papers, group)) == 1),
        shared=tuple(group for group in part_of if len(_papers_of(papers, group)) > 1),
        studies=tuple(_study_views(paper, library.studies, figures)) if paper else (),
    )


def _papers_of(papers: Mapping[str, Paper], group: str) -> set[str]:
    return {paper.key for paper, _ in groups(papers)[group]}


def _tally(judgements: Sequence[Judgement]) -> Tally:
    return Counter(judgement.word for judgement in judgements)


def _line(judgement: Judgement, library: Library, labels: Mapping[str, str]) -> Line:
    value = judgement.published
    where = ", ".join(part for part in (judgement.scale, judgement.world) if part)
    if judgement.workers:
        where += f", {judgement.workers} workers"
    runs = dict.fromkeys(
        Link(labels.get(key, library.records[key].run.algorithm), group_anchor_of(library.records[key]))
        for key in judgement.records
    ) | dict.fromkeys(Link(library.studies[name].run.name, study_anchor_of(name)) for name in judgement.studies)
    known = not math.isnan(judgement.estimate)
    return Line(
        judgement=judgement,
        where=where,
        setting=", ".join(part for part in (value.method, value.dataset, value.model, _nodes(value)) if part)
        if value
        else "",
        metric=_metric(value) if value else "",
        printed=_printed(value) if value else "",
        estimate=_typeset(f"{judgement.estimate:.4g}") + _unit(judgement.unit) if known else "",
        interval=_typeset(interval_text(judgement.low, judgement.high)) if known else "",
        region=_typeset(interval_text(judgement.region_low, judgement.region_high)) if judgement.seeds else "",
        seeds=", ".join(map(str, judgement.seeds)),
        runs=tuple(runs),
    )


def _typeset(numbers: str) -> str:
    return numbers.replace(">=", "≥").replace("<=", "≤").replace("-", "\N{MINUS SIGN}")


def _unit(unit: str) -> str:
    return f" {unit}".rstrip().replace("top-1", "top\N{NON-BREAKING HYPHEN}1")


def _nodes(value: Published) -> str:
    return "" if value.workers is None else f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{value.workers}"


def _metric(value: Published) -> str:
    return value.metric.removesuffix("_percent").replace("_", " ").replace("top1", "top\N{NON-BREAKING HYPHEN}1")


def _printed(value: Published) -> str:
    unit = "%" if value.unit == "percent" else "" if value.unit == "ratio" else value.unit
    relation = "about" if value.spread == "approximate" else value.spread if value.spread in SPREADS else ""
    return f"{relation} {value.number.replace('+-', '±')} {unit}".strip()


def study_anchor_of(folder: str) -> str:
    """Return the anchor of a study's table."""
    return f"s-{folder}"


def _study_views(paper: Paper, tables: StudyTables, figures: Sequence[Figure]) -> Iterator[StudyView]:
    by_name: dict[str, list[StudyTable]] = {}
    for table in sorted(tables.values(), key=lambda table: (SCALES.index(table.run.scale), table.run.seed)):
        by_name.setdefault(table.run.name, []).append(table)
    for study in paper.studies:
        name = f"{paper.key}.{study.name}"
        if name in by_name:
            rows = tuple(_study_row(table) for table in by_name[name])
            own = tuple(figure for figure in figures if figure.group == name)
            yield StudyView(name, study.title, study.source, rows, own)


def _study_row(table: StudyTable) -> StudyRow:
    run, outcome = table.run, table.outcome
    fields = (
        run.scale,
        run.world,
        str(run.seed) if run.seed else "exact",
        str(outcome.get("rows", "")),
        commit_of(table),
        _changed(table.other_code),
        "" if (wall := outcome.get("wall_s")) is None else f"{wall:.1f}",
        str(outcome.get("started_utc", ""))[:19].replace("T", " "),
        str(table.provenance.get("cpu") or ""),
    )
    return StudyRow(study_anchor_of(run.folder), run.folder, fields)


def _changed(files: Sequence[str]) -> str:
    if not files:
        return "as now"
    others = f" and {len(files) - FILES_NAMED} others" if len(files) > FILES_NAMED else ""
    return f"not as now: {', '.join(files[:FILES_NAMED])}{others}"


def _group_view(name: str, rows: Sequence[Row], figures: Sequence[Figure]) -> GroupView:
    results, communication = measured(rows, communication=False), measured(rows, communication=True)
    return GroupView(
        name=name,
        headings=_headings(results),
        rows=tuple(_table_row(row, results) for row in rows),
        communication_headings=_headings(communication),
        communication=tuple(_table_row(row, communication) for row in rows),
        figures=tuple(figure for figure in figures if figure.group == name),
    )


def _headings(columns: Sequence[Measure]) -> tuple[str, ...]:
    return "scale", "world", "n", "engine", "seeds", *map(heading, columns)


def _table_row(row: Row, columns: Sequence[Measure]) -> TableRow:
    return TableRow(
        label=row.series.label,
        anchor=group_anchor_of(row.series.records[0]),
        setting=(row.scale, row.world, str(row.workers), row.engine),
        seeds=tuple(Link(str(record.run.seed), anchor_of(record)) for record in row.series.records),
        numbers=tuple(shown(row.measures[measure.name], measure) for measure in columns),
    )
