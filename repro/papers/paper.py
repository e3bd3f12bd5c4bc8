"""What a paper is to the suite: cells that can be run, and claims that can be tested over their records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from repro.errors import UserError
from repro.report.statistics import Finding
from repro.runs.record import Record
from repro.runs.spec import Run, Scale

Recipe = Callable[[Scale, int, int | None], Run]
"""(scale, seed, workers or None for the cell's own number) -> the run."""

Evidence = Mapping[str, Sequence[Record]]
"""Cell name -> its finished records of one scale and place, in the order of their seeds, and of their workers where the
cell is a sweep; for all cells the same seeds, so that records at equal positions are pairs."""


@dataclass(frozen=True)
class Cell:
    """One entry of a published table, or one curve of a figure, as a runnable recipe.

    Published values are joined to it by (paper, cell name) in `results/published/<paper>.csv`.
    """

    name: str
    title: str
    label: str
    """Short name of the method in figures and tables, e.g. `SwarmSGD H=2`."""
    source: str
    recipe: Recipe
    groups: tuple[str, ...] = ()
    """What `repro reproduce GROUP` runs it under, e.g. `cifar`."""
    sweep: tuple[int, ...] = ()
    """Numbers of workers it is run on, for a curve over them; empty where the recipe has its own number."""


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper in testable form.

    Args:
        statement: the claim in plain words, with the threshold the test uses.
        evidence: grade of the source: table, text, figure, authors-data or unverified.
        cells: names of the cells whose records the test reads.
        scales: the scales it may be decided at.
        worlds: the worlds it may be decided in.
        test: from the records to an estimate with its interval and the region where the claim holds.
    """

    name: str
    statement: str
    source: str
    evidence: str
    cells: tuple[str, ...]
    test: Callable[[Evidence], Finding]
    scales: tuple[Scale, ...] = ("laptop", "paper")
    worlds: tuple[str, ...] = ("mpi",)


@dataclass(frozen=True)
class Paper:
    """A paper with its cells and claims; `key` names its file here and its table in `results/published/`.

    Args:
        platform: the machine its experiments ran on, a name in `repro/worlds/platforms/`.
    """

    key: str
    title: str
    reference: str
    cells: tuple[Cell, ...]
    claims: tuple[Claim, ...]
    platform: str

    def cell(self, name: str) -> Cell:
        """Return the cell called `name`.

        Raises:
            UserError: there is none.
        """
        for cell in self.cells:
            if cell.name == name:
                return cell
        raise UserError(f"unknown cell {name!r} of {self.key}; known: {', '.join(c.name for c in self.cells)}")
