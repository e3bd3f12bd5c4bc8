"""What goes into one table or one set of figures: the cells of a group in one setting, with their records."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from repro.papers.paper import Cell, Paper
from repro.report.matching import Matching, Setting
from repro.runs.place import Place
from repro.runs.record import Record


@dataclass(frozen=True)
class Series:
    """One method in a table or figure, with its records in the order of their seeds.

    Args:
        label: its name here; the method's, with the paper's where two of the panel's series would have the same.
        method: the label of its cell, which decides how it is drawn.
    """

    label: str
    method: str
    records: tuple[Record, ...]

    @property
    def keys(self) -> list[str]:
        """The keys of the records' runs."""
        return [record.run.key for record in self.records]


@dataclass(frozen=True)
class Panel:
    """The methods of one group in one setting; `sweeps` where this is one number of workers of several."""

    group: str
    setting: Setting
    series: tuple[Series, ...]
    sweeps: bool = False

    @property
    def name(self) -> str:
        """A name for its files, e.g. `cifar-laptop`."""
        return f"{self.group}-{self.setting.suffix}"

    @property
    def methods(self) -> dict[str, str]:
        """The method of each series by its label."""
        return {series.label: series.method for series in self.series}


def groups(papers: Mapping[str, Paper]) -> dict[str, tuple[tuple[Paper, Cell], ...]]:
    """Return the cells of each group in the order of the papers; cells without one are grouped by paper."""
    found: dict[str, list[tuple[Paper, Cell]]] = {}
    for paper in papers.values():
        for cell in paper.cells:
            for group in cell.groups or (paper.key,):
                found.setdefault(group, []).append((paper, cell))
    return {group: tuple(members) for group, members in found.items()}


def panels(papers: Mapping[str, Paper], matching: Matching) -> Iterator[Panel]:
    """Yield every group in every setting it has records of.

    Two cells with the same label and the same runs, of two papers, are one series. A group of sweeps is shown for each
    of their numbers of workers.
    """
    for group, members in groups(papers).items():
        cells = tuple(cell for _, cell in members)
        swept = {workers for cell in cells for workers in cell.sweep}
        for setting in matching.settings:
            if setting.workers in swept if swept else not matching.is_own(cells, setting):
                series = _series(members, setting, matching)
                if series:
                    place = Place.common(record.run for one in series for record in one.records)
                    yield Panel(group, replace(setting, place=place), series, bool(swept))


def _series(members: tuple[tuple[Paper, Cell], ...], setting: Setting, matching: Matching) -> tuple[Series, ...]:
    found: dict[str, Series] = {}
    for paper, cell in members:
        records = matching.records(cell, setting)
        label = cell.label
        if label in found and found[label].records != records:
            label = f"{cell.label} ({paper.title})"
        if records and label not in found:
            found[label] = Series(label, cell.label, records)
    return tuple(found.values())
