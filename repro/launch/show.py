"""Tables of what there is to run and what has been run."""

from collections.abc import Iterable
from pathlib import Path

from repro.launch.wanted import Wanted, cells_of
from repro.papers import PAPERS
from repro.papers.paper import Paper
from repro.runs.store import Store


def cells_table(papers: Iterable[Paper]) -> None:
    """Print every cell of every paper with the groups it belongs to."""
    for paper in papers:
        print(f"{paper.key}: {paper.title} ({len(paper.cells)} cells, {len(paper.claims)} claims)")
        for cell in paper.cells:
            print(f"  {paper.key}.{cell.name:<24} {cell.title} [{', '.join(cell.groups)}]")


def status_table(wanted: Wanted, results: Path) -> None:
    """Print for each of the cells which of the wanted runs have a record.

    Raises:
        UserError: a name means nothing.
    """
    store = Store(results / "runs")
    for paper, cell in cells_of(wanted.names, list(PAPERS.values())):
        make = wanted.run_maker(paper)
        seeds = range(1, wanted.seeds + 1)
        marks = ["done" if all(map(store.has, make(cell, seed))) else "to do" for seed in seeds]
        told = ", ".join(f"seed {seed} {mark}" for seed, mark in zip(seeds, marks, strict=True))
        print(f"{cell.name:<26} {wanted.scale:<7} {marks.count('done')}/{wanted.seeds} done: {told}")
