"""Tables of what there is to run and what has been run."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from repro.launch.plan import cells_of
from repro.papers import PAPERS
from repro.papers.paper import Paper
from repro.runs.spec import Scale
from repro.runs.store import Store


def cells_table(papers: Iterable[Paper]) -> None:
    """Print every cell of every paper with the groups it belongs to."""
    for paper in papers:
        print(f"{paper.key}: {paper.title} ({len(paper.cells)} cells, {len(paper.claims)} claims)")
        for cell in paper.cells:
            print(f"  {paper.key}.{cell.name:<24} {cell.title} [{', '.join(cell.groups)}]")


def status_table(names: Sequence[str], scale: Scale, seeds: int, results: Path) -> None:
    """Print for each of these cells which of the runs of seeds 1 to `seeds` have a record.

    Raises:
        UserError: a name means nothing.
    """
    store = Store(results / "runs")
    for cell in cells_of(names, PAPERS.values()):
        marks = ["done" if store.has(cell.recipe(scale, seed, None)) else "to do" for seed in range(1, seeds + 1)]
        told = ", ".join(f"seed {seed} {mark}" for seed, mark in enumerate(marks, 1))
        print(f"{cell.name:<26} {scale:<7} {marks.count('done')}/{seeds} done: {told}")
