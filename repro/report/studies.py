"""Which tables of studies may be believed, and which belong together."""

from collections.abc import Iterable, Mapping, Sequence

from repro.errors import UserError
from repro.papers.paper import Paper
from repro.report.guards import Problem
from repro.runs.study import StudyTable

StudyTables = Mapping[str, StudyTable]
"""By the names of their folders."""


def check(tables: Iterable[StudyTable]) -> tuple[dict[str, StudyTable], tuple[Problem, ...]]:
    """Return the tables that are as their study left them, and what is wrong with the others."""
    good: dict[str, StudyTable] = {}
    problems = []
    for table in tables:
        reason = _reason(table)
        if reason:
            problems.append(Problem(table.folder.name, reason))
        else:
            good[table.folder.name] = table
    return good, tuple(problems)


def _reason(table: StudyTable) -> str:
    if table.folder.name != table.run.folder:
        return f"it belongs in {table.run.folder}: edited, renamed or copied"
    try:
        if table.altered:
            return "table.csv was changed after the study: its digest is not the one in study.json"
        return "table.csv has no rows" if table.table.empty else ""
    except UserError as error:
        return str(error)


def of_paper(tables: StudyTables, paper: Paper, names: Sequence[str], scale: str) -> dict[str, list[StudyTable]]:
    """Return the tables of each study with the seeds that all seeded ones have, in their order; empty where one lacks.

    An exact study has one table whatever the seeds.
    """
    found: dict[str, dict[int, StudyTable]] = {name: {} for name in names}
    for table in tables.values():
        run = table.run
        if run.paper == paper.key and run.scale == scale and run.study in found:
            found[run.study][run.seed] = table
    seeded = [set(found[name]) for name in names if paper.study(name).seeded]
    seeds = set.intersection(*seeded) if seeded else set()
    chosen = {
        name: [rows[seed] for seed in sorted(rows) if seed in seeds or not paper.study(name).seeded]
        for name, rows in found.items()
    }
    return chosen if all(chosen.values()) else {}
