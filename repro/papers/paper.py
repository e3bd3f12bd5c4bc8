"""What a paper is to the suite: cells and studies to run, and claims that can be tested over what they left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from repro.errors import UserError
from repro.papers.drawing import HeatMap, Lines
from repro.report.statistics import Finding
from repro.runs.record import Record
from repro.runs.spec import Run, Scale
from repro.runs.study import StudyRun

if TYPE_CHECKING:
    import pandas as pd

Recipe = Callable[[Scale, int, int | None], Run]
"""(scale, seed, workers or None for the cell's own number) -> the run."""

Evidence = Mapping[str, Sequence[Record]]
"""Cell name -> its finished records of one scale and place, in the order of their seeds, and of their workers where the
cell is a sweep; for all cells the same seeds, so that records at equal positions are pairs."""

Tables = Mapping[str, "Sequence[pd.DataFrame]"]
"""Study name -> its tables of one scale in the order of their seeds; for all seeded studies the same seeds."""


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
class Study:
    """A computation of a paper that is no training run of workers: theory, Monte Carlo, or a compiled kernel.

    Args:
        compute: from scale and seed to a tidy table with unit-suffixed columns, on one core. The files of this
            project that its module imports, from outside the harness, are kept as what made the table.
        seeded: whether it draws at random; an exact study has one table, of seed 0.
        world: what its numbers are. Measured times are taken with nothing else running.
        figures: how the table is drawn.
        needs: names of the data sets it reads, as `repro data` calls them; by scale where that depends on it.
        groups: what `repro reproduce GROUP` makes it under.
        seconds: about how long it takes on one core, by scale.
    """

    name: str
    title: str
    source: str
    compute: "Callable[[Scale, int], pd.DataFrame]"
    seeded: bool = False
    world: Literal["theory", "Monte Carlo", "sequential", "simulated", "measured"] = "theory"
    figures: tuple[HeatMap | Lines, ...] = ()
    needs: tuple[str, ...] | Mapping[Scale, tuple[str, ...]] = ()
    groups: tuple[str, ...] = ()
    seconds: Mapping[Scale, float] = field(default_factory=dict)

    def needs_at(self, scale: Scale) -> tuple[str, ...]:
        """Return the names of the data sets it reads at a scale."""
        return self.needs.get(scale, ()) if isinstance(self.needs, Mapping) else self.needs

    def run(self, paper: str, scale: Scale, seed: int) -> StudyRun:
        """Return what its table with this seed is made for."""
        return StudyRun(paper, self.name, scale, seed if self.seeded else 0, self.world)


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper in testable form.

    Args:
        statement: the claim in plain words, with the threshold the test uses.
        evidence: grade of the source: table, text, figure, authors-data or unverified.
        cells: names of the cells whose records the test reads; none where it reads studies.
        scales: the scales it may be decided at.
        worlds: the worlds it may be decided in; a study's is its own.
        test: from the records (`Evidence`), or from the studies' tables (`Tables`), to an estimate with its interval
            and the region where the claim holds.
        studies: names of the studies whose tables the test reads, in place of records.
    """

    name: str
    statement: str
    source: str
    evidence: str
    cells: tuple[str, ...]
    test: Callable[[Any], Finding]
    scales: tuple[Scale, ...] = ("laptop", "paper")
    worlds: tuple[str, ...] = ("mpi",)
    studies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Paper:
    """A paper with its cells, studies and claims; `key` names its file here and its table in `results/published/`.

    Args:
        platform: the machine its experiments ran on, a name in `repro/worlds/platforms/`.
    """

    key: str
    title: str
    reference: str
    cells: tuple[Cell, ...]
    claims: tuple[Claim, ...]
    platform: str
    studies: tuple[Study, ...] = ()

    @property
    def entries(self) -> "tuple[Cell | Study, ...]":
        """All that can be run, by different names."""
        return *self.cells, *self.studies

    def cell(self, name: str) -> Cell:
        """Return the cell called `name`.

        Raises:
            UserError: there is none.
        """
        for cell in self.cells:
            if cell.name == name:
                return cell
        raise UserError(f"unknown cell {name!r} of {self.key}; known: {', '.join(c.name for c in self.cells)}")

    def study(self, name: str) -> Study:
        """Return the study called `name`.

        Raises:
            UserError: there is none.
        """
        for study in self.studies:
            if study.name == name:
                return study
        raise UserError(f"unknown study {name!r} of {self.key}; known: {', '.join(s.name for s in self.studies)}")
