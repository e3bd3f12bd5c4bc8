"""How much of what the papers say is covered: printed values, those a cell runs, those run and judged; and claims."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from repro.errors import UserError
from repro.papers.paper import Cell, Paper, Study
from repro.report.published import Published
from repro.report.statistics import NOT_ATTEMPTED
from repro.runs.spec import SCALES, Run
from repro.runs.study import StudyRun


@dataclass(frozen=True)
class Coverage:
    """Numbers of one paper, or of all.

    Args:
        values: printed values.
        with_cell: of these, how many have a cell or study that runs what they are about.
        run: of these, how many have a finished record of it, at any scale.
        verdicts: of the values, how many were compared with records, whatever the verdict.
        claims: claims in testable form.
        judged: of these, how many were tested on records.
    """

    values: int = 0
    with_cell: int = 0
    run: int = 0
    verdicts: int = 0
    claims: int = 0
    judged: int = 0

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def coverage(papers: Sequence[Paper], published: Iterable[Published], results: Path) -> dict[str, Coverage]:
    """Return the coverage of each paper by its key, from what lies in `results`: records and verdicts.csv."""
    present = _present(results)
    judged = _judged(results / "verdicts.csv")
    values: dict[str, list[Published]] = {}
    for value in published:
        values.setdefault(value.paper, []).append(value)
    found = {}
    for paper in papers:
        own = values.get(paper.key, [])
        entries = {entry.name: entry for entry in paper.entries}
        covered = [value for value in own if value.cell in entries]
        done = {name: _is_run(paper, entries[name], present) for name in {value.cell for value in covered}}
        found[paper.key] = Coverage(
            values=len(own),
            with_cell=len(covered),
            run=sum(done[value.cell] for value in covered),
            verdicts=sum((paper.key, "value", v.cell, v.statement, v.source) in judged for v in own),
            claims=len(paper.claims),
            judged=sum((paper.key, "claim", c.name, c.statement, c.source) in judged for c in paper.claims),
        )
    return found


def _present(results: Path) -> Mapping[str, int]:
    """Return the names of the finished records' folders, with their seeds."""
    folders = [path for part in ("runs", "studies") for path in sorted((results / part).glob("[!.]*"))]
    seeds = ((path.name, re.search(r"-s(\d+)(-|$)", path.name)) for path in folders)
    return {name: int(seed[1]) for name, seed in seeds if seed}


def _is_run(paper: Paper, entry: Cell | Study, present: Mapping[str, int]) -> bool:
    def runs(seed: int) -> list[Run | StudyRun]:
        if isinstance(entry, Study):
            return [entry.run(paper.key, scale, seed) for scale in SCALES]
        return [entry.recipe(scale, seed, workers) for scale in SCALES for workers in entry.sweep or (None,)]

    return any(run.folder in present for seed in sorted(set(present.values())) for run in runs(seed))


def _judged(path: Path) -> set[tuple[str, ...]]:
    if not path.is_file():
        return set()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {
                tuple(row[column] for column in ("paper", "kind", "name", "statement", "source"))
                for row in csv.DictReader(file)
                if row["word"] != NOT_ATTEMPTED.word
            }
    except (KeyError, UnicodeDecodeError, csv.Error):
        raise UserError(f"{path} is not as `repro verdict` writes it, which writes it anew") from None
