"""What goes into one table or one set of figures: the cells of a group in one setting, with their records."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from repro.papers.paper import Cell, Paper
from repro.report.matching import Matching, Setting
from repro.runs.record import Record


@dataclass(frozen=True)
class Series:
    """One method in a table or figure: its label and its records, in the order of their seeds."""

    label: str
    records: tuple[Record, ...]

    @property
    def keys(self) -> list[str]:
        """The keys of the records' runs."""
        return [record.run.key for record in self.records]


@dataclass(frozen=True)
class Panel:
    """The methods of one group in one setting."""

    group: str
    setting: Setting
    series: tuple[Series, ...]

    @property
    def name(self) -> str:
        """A name for its files, e.g. `cifar-laptop`."""
        return f"{self.group}-{self.setting.suffix}"


def groups(papers: Mapping[str, Paper]) -> dict[str, tuple[Cell, ...]]:
    """Return the cells of each group in the order of the papers; cells without one are grouped by paper."""
    found: dict[str, list[Cell]] = {}
    for paper in papers.values():
        for cell in paper.cells:
            for group in cell.groups or (paper.key,):
                found.setdefault(group, []).append(cell)
    return {group: tuple(cells) for group, cells in found.items()}


def panels(papers: Mapping[str, Paper], matching: Matching) -> Iterator[Panel]:
    """Yield every group in every setting it has records of.

    Two cells with the same label and the same runs, of two papers, are one series.
    """
    for group, cells in groups(papers).items():
        for setting in matching.settings:
            if matching.is_own(cells, setting):
                continue
            series = dict.fromkeys(Series(cell.label, matching.records(cell, setting)) for cell in cells)
            filled = tuple(one for one in series if one.records)
            if filled:
                yield Panel(group, setting, filled)
