"""Which records belong to which cell. Records carry no cell names: one record may serve several cells."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from repro.errors import UserError
from repro.papers.paper import Cell, Evidence, Paper
from repro.runs.place import AS_CELLS_SAY, MPI_WORLD, Place
from repro.runs.record import Record
from repro.runs.spec import SCALES, Run


@dataclass(frozen=True)
class Setting:
    """What records must share to be compared; `workers` is None for each cell's own number, and `place` may be
    `AS_CELLS_SAY`."""

    scale: str
    place: Place = MPI_WORLD
    workers: int | None = None

    @property
    def world(self) -> str:
        """The name of its world."""
        return self.place.world

    @property
    def suffix(self) -> str:
        """The part of a file's name that tells settings apart, e.g. `laptop` or `laptop-simulated-n2`."""
        return "-".join([self.scale, *self.place.parts, *([f"n{self.workers}"] if self.workers else [])])


class Matching:
    """The records of each cell in each setting, found by asking the cell's recipe which run it would make."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._by_run: dict[Run, Record] = {record.run: record for record in records.values()}
        seeds: dict[Setting, set[int]] = defaultdict(set)
        for run in self._by_run:
            for place in (Place.of(run), *([AS_CELLS_SAY] if run.world == "simulated" else [])):
                for number in (None, run.workers):
                    seeds[Setting(run.scale, place, number)].add(run.seed)
        self._seeds = {setting: sorted(found) for setting, found in seeds.items()}
        self._shapes = {_shape(run) for run in self._by_run}
        self._run = cache(_made)  # one for all settings: the report asks for the same thousands again and again
        self.records = cache(self._records)
        self.is_own = cache(self._is_own)

    @property
    def settings(self) -> list[Setting]:
        """Every setting there may be records of, cells' own numbers of workers first."""
        return sorted(self._seeds, key=lambda s: (SCALES.index(s.scale), s.place, s.workers or 0))

    def _records(self, cell: Cell, setting: Setting) -> tuple[Record, ...]:
        """Return the records of `cell` in the order of their seeds; of a sweep those of complete seeds alone."""
        found: list[Record] = []
        numbers = cell.sweep if setting.workers is None and cell.sweep else (setting.workers,)
        for seed in self._seeds.get(setting, ()):
            try:
                runs = [self._run(cell, setting.scale, seed, workers) for workers in numbers]
            except UserError:  # e.g. a topology that does not exist on so few workers
                return ()
            if setting.place == AS_CELLS_SAY:
                runs = [run for run in runs if run.world == "simulated"]
            else:
                runs = [setting.place.moved(run) for run in runs if run.world == "mpi"]
            if not self._shapes.issuperset(map(_shape, runs)) or not runs:  # nor has any other seed a record
                return ()
            records = [self._by_run.get(run) for run in runs]
            if None not in records:
                found.extend(record for record in records if record is not None)
        return tuple(found)

    def _is_own(self, cells: tuple[Cell, ...], setting: Setting) -> bool:
        """Whether a setting with a number of workers has only records that the cells' own numbers have too."""
        if setting.workers is None:
            return False
        if any(cell.sweep for cell in cells):  # their own numbers are several
            return True
        own = Setting(setting.scale, setting.place)
        known = {record.run for cell in cells for record in self.records(cell, own)}
        return all(record.run in known for cell in cells for record in self.records(cell, setting))

    def evidence(self, paper: Paper, names: tuple[str, ...], setting: Setting) -> Evidence:
        """Return the records of the cells with the seeds that all of them have; empty where there is none."""
        found = {name: self.records(paper.cell(name), setting) for name in names}
        seeds = set.intersection(*({record.run.seed for record in rows} for rows in found.values()))
        if not seeds:
            return {}
        return {name: [record for record in rows if record.run.seed in seeds] for name, rows in found.items()}


def _shape(run: Run) -> tuple[object, ...]:
    """Return some of what a cell's runs have in common, whatever the seed."""
    return run.algorithm, run.task, run.workers, run.batch_size, run.scale, run.world, run.platform, run.delays


def _made(cell: Cell, scale: str, seed: int, workers: int | None) -> Run:
    return cell.recipe(scale, seed, workers)  # type: ignore[arg-type]
