"""The folder of records: which runs are finished, and how a record gets in."""

import csv
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from repro.runs.columns import EPOCH_COLUMNS, SCHEMA_VERSION, WORKER_COLUMNS
from repro.runs.record import Record, read
from repro.runs.spec import Run

Row = Mapping[str, Any]

LOCK_ORDER = "lock_order.json"
"""A record's order of one-sided operations, where it was logged."""


class Store:
    """Records under one folder, `results/runs` unless told otherwise."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, run: Run) -> Path:
        """Return where the record of `run` is, or will be."""
        return self.root / run.folder

    def has(self, run: Run) -> bool:
        """Whether `run` has a finished record."""
        return (self.folder(run) / "run.json").is_file()

    def get(self, run: Run) -> Record:
        """Return the record of `run`."""
        return read(self.folder(run))

    def __iter__(self) -> Iterator[Record]:
        """Yield all records in the order of their folders' names."""
        for path in sorted(self.root.glob("[!.]*/run.json")):  # a leading dot: not finished
            yield read(path.parent)

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
        """Write the record of a finished run and return its folder.

        The files are written in a folder of another name, synced, and renamed in one step: a record is there whole
        or not at all.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        target = self.folder(run)
        draft = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=self.root))
        try:
            draft.chmod(0o755)
            tables = {
                "epochs.csv": _table(EPOCH_COLUMNS, epochs),
                "workers.csv": _table(WORKER_COLUMNS, workers),
            }
            if lock_order is not None:
                tables[LOCK_ORDER] = lock_order
            for name, text in tables.items():
                _write_text(draft / name, text)
            content = {
                "schema_version": SCHEMA_VERSION,
                "key": run.key,
                "run": asdict(run),
                "provenance": provenance,
                "outcome": outcome,
                "tables_sha256": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in tables.items()},
            }
            _write_text(draft / "run.json", json.dumps(content, indent=1, sort_keys=True) + "\n")
            if target.exists():  # a run asked for again on purpose replaces its record
                shutil.rmtree(target)
            draft.rename(target)
            _sync_folder(self.root)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return target


def _table(columns: Sequence[str], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
