"""Tables of what there is to run and what has been run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from repro.launch.slurm.queue import submitted_states
from repro.launch.slurm.submissions import FAILED, QUEUED, RUNNING
from repro.launch.stores import Stores
from repro.launch.wanted import Wanted, entries_of
from repro.papers import PAPERS
from repro.papers.paper import Cell, Paper, Study
from repro.runs.spec import Run
from repro.runs.study import StudyRun

if TYPE_CHECKING:
    from repro.report.published import Published


COVERAGE_HEADINGS = ("", "published values", "with a cell", "run", "with a verdict", "claims", "with a verdict")


def cells_table(names: Sequence[str], results: Path) -> None:
    """Print the cells and studies that `names` mean, all for none: a table for each paper, in its groups, with the
    number of published values of each cell; then how much of these papers is covered by what lies in `results`.

    Raises:
        UserError: a name means nothing.
    """
    from repro.report.library import PUBLISHED
    from repro.report.published import read_published

    published = read_published(PUBLISHED)
    values = Counter((value.paper, value.cell) for value in published)
    values_of_paper = Counter(value.paper for value in published)
    chosen = entries_of(names, list(PAPERS.values()))
    width = max(len(_name(paper, cell)) for paper, cell in chosen)
    for key, members in groupby(chosen, key=lambda pair: pair[0].key):
        paper = PAPERS[key]
        counts = f"{len(paper.cells)} cells, {len(paper.claims)} claims, {values_of_paper[key]} published values"
        if paper.studies:
            counts = f"{len(paper.studies)} studies, {counts}"
        print(f"{key}: {paper.title} ({counts})")
        for group, cells in groupby(members, key=lambda pair: ", ".join(pair[1].groups)):
            print(f"  {group:<{width + 2}}  published")
            for _, cell in cells:
                print(f"    {_name(paper, cell):<{width}}  {values[key, cell.name] or '':>9}  {cell.title}")
    _print_coverage([PAPERS[key] for key in dict.fromkeys(paper.key for paper, _ in chosen)], published, results)


def _print_coverage(papers: Sequence[Paper], published: "Sequence[Published]", results: Path) -> None:
    from tabulate import tabulate

    from repro.report.coverage import Coverage, coverage

    found = coverage(papers, published, results)
    rows = [(key, *astuple(own)) for key, own in found.items()]
    if len(found) > 1:
        rows.append(("all", *astuple(sum(found.values(), Coverage()))))
    print(f"\ncoverage, by {results}:")
    print(tabulate(rows, COVERAGE_HEADINGS))


def status_table(wanted: Wanted, results: Path) -> None:
    """Print for each cell and study how many of the wanted runs are done, and of which seeds where only some are; of
    those submitted to Slurm also how many are queued, running or failed.

    Raises:
        UserError: a name means nothing.
    """
    stores = Stores.of(results)
    submitted = submitted_states(results)
    chosen = entries_of(wanted.names, list(PAPERS.values()))
    width = max(len(_name(paper, cell)) for paper, cell in chosen)
    states: dict[Run | StudyRun, str] = {}  # cells may share runs
    for paper, cell in chosen:
        make = wanted.run_maker(paper)
        seeds: dict[int, list[Run | StudyRun]] = {}
        for run in dict.fromkeys(run for seed in range(1, wanted.seeds + 1) for run in make(cell, seed)):
            seeds.setdefault(run.seed, []).append(run)
        runs = [run for members in seeds.values() for run in members]
        states |= {run: DONE if stores.has(run) else submitted.get(run.folder, TO_DO) for run in runs}
        counts = Counter(states[run] for run in runs)
        told = ", ".join(f"seed {seed} {_mark([states[run] for run in members])}" for seed, members in seeds.items())
        note = f": {told}" if len(counts) > 1 else ""
        print(f"{_name(paper, cell):<{width}}  {f'{counts[DONE]}/{len(runs)}':>7} done{_others(counts)}{note}")
    counts = Counter(states.values())
    print(f"{counts[DONE]} of {len(states)} runs at scale {wanted.scale} done{_others(counts)}")


DONE, TO_DO = "done", "to do"


def _others(counts: Mapping[str, int]) -> str:
    """Return how many runs are neither done nor to do."""
    return "".join(f", {counts[state]} {state}" for state in (RUNNING, QUEUED, FAILED) if counts[state])


def _name(paper: Paper, cell: Cell | Study) -> str:
    return f"{paper.key}.{cell.name}"


def _mark(states: Sequence[str]) -> str:
    counts = Counter(states)
    if len(counts) == 1:
        return states[0]
    return f"{counts[DONE]} of {len(states)} done{_others(counts)}"
