"""The folder of records: which runs are finished, and how a record gets in."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import final

from repro.runs.columns import EPOCH_COLUMNS, SCHEMA_VERSION, WORKER_COLUMNS
from repro.runs.folders import Folders, Row
from repro.runs.record import Record, read
from repro.runs.spec import Run

LOCK_ORDER = "lock_order.json"
"""A record's order of one-sided operations, where it was logged."""


@final
class Store(Folders):
    """Records under one folder, `results/runs` unless told otherwise."""

    head = "run.json"

    def get(self, run: Run) -> Record:
        """Return the record of `run`."""
        return read(self.folder(run))

    def __iter__(self) -> Iterator[Record]:
        """Yield all records in the order of their folders' names."""
        return map(read, self.finished())

    def add(
        self,
        run: Run,
        *,
        provenance: Row,
        outcome: Row,
        epochs: Iterable[Row],
        workers: Iterable[Row],
        lock_order: str | None = None,
    ) -> Path:
        """Write the record of a finished run, whole or not at all, and return its folder."""
        tables = {
            "epochs.csv": _table(EPOCH_COLUMNS, epochs),
            "workers.csv": _table(WORKER_COLUMNS, workers),
        }
        if lock_order is not None:
            tables[LOCK_ORDER] = lock_order
        content = {
            "schema_version": SCHEMA_VERSION,
            "key": run.key,
            "run": asdict(run),
            "provenance": provenance,
            "outcome": outcome,
        }
        return self.write(run, content, tables)


def _table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
