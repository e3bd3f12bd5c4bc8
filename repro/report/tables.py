"""Results tables: what each method came to, with intervals over seeds."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from repro.papers.paper import Paper
from repro.report.grouping import Panel, Series, groups, panels
from repro.report.library import Library
from repro.report.measures import MEASURES, Measure
from repro.report.statistics import Interval, mean
from repro.report.tabular import write_tabular
from repro.runs.place import Place


@dataclass(frozen=True)
class Row:
    """One method in one setting; `measures` holds None for what its records do not have."""

    series: Series
    scale: str
    world: str
    workers: int
    engine: str
    seeds: tuple[int, ...]
    measures: Mapping[str, Interval | None]


def rows_of(panel: Panel, library: Library) -> list[Row]:
    """Return the rows of a panel, one a method."""
    return [_row(series, panel, library) for series in panel.series]


def measured(rows: Sequence[Row], communication: bool | None = None) -> list[Measure]:
    """Return the measures that at least one row has; those about communication, the others, or with None all."""
    wanted = [m for m in MEASURES if communication in (None, m.communication)]
    return [m for m in wanted if any(row.measures[m.name] is not None for row in rows)]


def write_tables(results: Path, papers: Mapping[str, Paper], library: Library) -> dict[str, list[Row]]:
    """Write `results`/tables/<group>.csv, .md and .tex for each group with records; return the rows by group.

    Of measures about communication there are tables of their own, <group>-communication.md and .tex.
    """
    tables: dict[str, list[Row]] = {group: [] for group in groups(papers)}
    for panel in panels(papers, library.matching):
        tables[panel.group] += rows_of(panel, library)
    folder = results / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    filled = {group: rows for group, rows in tables.items() if rows}
    for group, rows in filled.items():
        _write_csv(folder / f"{group}.csv", rows)
        write_tabular(folder, group, CAPTION, *_texts(rows, communication=False))
        write_tabular(folder, f"{group}-communication", COMMUNICATION_CAPTION, *_texts(rows, communication=True))
    return filled


def _texts(rows: Sequence[Row], communication: bool) -> tuple[list[str], list[list[object]]]:
    """Return headings and fields of a group's table."""
    columns = measured(rows, communication)
    headings = ["method", "scale", "world", "n workers", "engine", "seeds", *(heading(m) for m in columns)]
    body = [
        [row.series.label, row.scale, row.world, row.workers, row.engine, len(row.seeds)]
        + [shown(row.measures[m.name], m) for m in columns]
        for row in rows
    ]
    return headings, body


CAPTION = (
    "Mean over seeds with its 95 % Student t interval, at the last evaluation point; one seed has no interval. "
    "Verdicts rest on 90 % intervals: two one-sided tests at 5 %."
)


COMMUNICATION_CAPTION = (
    "What a worker sends and waits for: means over workers and seeds, with 95 % intervals over seeds."
)


def heading(measure: Measure) -> str:
    """Return the heading of a measure's column with its unit."""
    return f"{measure.title} ({measure.unit})" if measure.unit else measure.title


def shown(interval: Interval | None, measure: Measure) -> str:
    """Return an interval as it is shown, e.g. `91.52 [91.31, 91.73]`."""
    if interval is None:
        return ""
    if interval.diverged:
        return f"{interval.diverged} of {interval.n} diverged"
    estimate, low, high = (f"{x:,.{measure.decimals}f}" for x in (interval.estimate, interval.low, interval.high))
    return estimate if math.isinf(interval.low) or low == high else f"{estimate} [{low}, {high}]"


def _row(series: Series, panel: Panel, library: Library) -> Row:
    runs = [record.run for record in series.records]
    values = library.summary.loc[series.keys]
    engines = sorted({str(record.provenance.get("engine", "")) for record in series.records})
    return Row(
        series=series,
        scale=panel.setting.scale,
        world=str(Place.common(runs)),
        workers=runs[0].workers,
        engine=", ".join(engines),
        seeds=tuple(run.seed for run in runs),
        measures={m.name: _interval(values[m.name].tolist(), values["diverged"].any()) for m in MEASURES},
    )


def _interval(values: list[float], any_diverged: object) -> Interval | None:
    if all(math.isnan(value) for value in values) and not any_diverged:
        return None  # the task has no such measure
    return wider(mean(values))


def wider(interval: Interval) -> Interval:
    """Return a mean's 90 % Student t interval as that of 95 %, as tables have it."""
    from scipy.special import stdtrit

    if not math.isfinite(interval.sd):
        return interval
    half = float(stdtrit(interval.n - 1, 0.975)) * interval.sd / math.sqrt(interval.n)
    return replace(interval, low=interval.estimate - half, high=interval.estimate + half)


def _write_csv(path: Path, rows: Sequence[Row]) -> None:
    columns = measured(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        names = [name for m in columns for name in (m.name, f"{m.name}_low", f"{m.name}_high")]
        writer.writerow(["method", "scale", "world", "workers", "engine", "seeds", "records", *names])
        for row in rows:
            numbers = [x for m in columns for x in _numbers(row.measures[m.name])]
            writer.writerow(
                [
                    row.series.label,
                    row.scale,
                    row.world,
                    row.workers,
                    row.engine,
                    " ".join(map(str, row.seeds)),
                    " ".join(row.series.keys),
                    *numbers,
                ]
            )


def _numbers(interval: Interval | None) -> list[str]:
    if interval is None:
        return ["", "", ""]
    bounds = (interval.estimate, interval.low, interval.high)
    return [f"{x:.10g}" if math.isfinite(x) else "" for x in bounds]
