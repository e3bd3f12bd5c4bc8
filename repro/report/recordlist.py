"""The list of records in the report: what each was run with, and where to find it on the page."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repro.report.library import Library
from repro.runs.place import Place
from repro.runs.provenance import commit_of
from repro.runs.record import Record
from repro.runs.spec import SCALES, key_of_all_seeds

HEADINGS = ("run", "scale", "world", "workers", "seed", "commit", "engine", "wall s", "started (UTC)", "environment")

ENVIRONMENT = ("os", "python", "packages", "mpi", "platform", "cpu", "cores", "threads_per_rank", "gpu", "container")
"""What of a record's provenance describes the machine and its software; the rest belongs to the single run."""


@dataclass(frozen=True)
class RecordView:
    """One record: its anchor, its folder, and the fields under `HEADINGS` after the first, the last one apart."""

    anchor: str
    folder: str
    fields: tuple[str, ...]
    environment: str


@dataclass(frozen=True)
class RecordGroup:
    """The records of one run with all its seeds."""

    anchor: str
    label: str
    records: tuple[RecordView, ...]


@dataclass(frozen=True)
class Environment:
    """A machine with its software, named E1, E2, ... in the order of the records."""

    name: str
    items: tuple[tuple[str, str], ...]


def anchor_of(record: Record) -> str:
    """Return the anchor of a record."""
    return f"r-{record.run.key}"


def group_anchor_of(record: Record) -> str:
    """Return the anchor that a record shares with those that differ from it in the seed alone."""
    return f"g-{key_of_all_seeds(record.run)}"


def record_list(library: Library, labels: Mapping[str, str]) -> tuple[tuple[RecordGroup, ...], tuple[Environment, ...]]:
    """Return all records in groups, and the environments they name; `labels` are methods by key."""
    grouped: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(library.records.values(), key=_order):
        grouped[group_anchor_of(record)].append(record)
    names: dict[tuple[tuple[str, str], ...], str] = {}
    groups = []
    for anchor, records in grouped.items():
        views = []
        for record in records:
            items = _environment(record.provenance)
            views.append(_view(record, names.setdefault(items, f"E{len(names) + 1}")))
        label = labels.get(records[0].run.key, records[0].run.algorithm)
        groups.append(RecordGroup(anchor, f"{label}, {records[0].run.task}", tuple(views)))
    return tuple(groups), tuple(Environment(name, items) for items, name in names.items())


def _order(record: Record) -> tuple[object, ...]:
    run = record.run
    group = key_of_all_seeds(run)
    return run.task, SCALES.index(run.scale), Place.of(run), run.algorithm, run.workers, group, run.seed


def _view(record: Record, environment: str) -> RecordView:
    run, provenance = record.run, record.provenance
    wall = record.outcome.get("wall_s")
    fields = (
        run.scale,
        str(Place.of(run)),
        str(run.workers),
        str(run.seed),
        commit_of(record),
        str(provenance.get("engine") or ""),
        "" if wall is None else f"{wall:.1f}",
        str(record.outcome.get("started_utc", ""))[:19].replace("T", " "),
    )
    return RecordView(anchor_of(record), run.folder, fields, environment)


def _environment(provenance: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.replace("_", " "), _plain(provenance[name])) for name in ENVIRONMENT if provenance.get(name) is not None
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {version}" for name, version in sorted(value.items()))
    return str(value)
