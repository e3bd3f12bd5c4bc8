"""A Record: what one finished run left, as read back from its folder."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from repro.errors import UserError
from repro.plainfile import plain
from repro.runs.columns import EPOCH_COLUMNS, SCHEMA_VERSION, THE_MODEL, WORKER_COLUMNS
from repro.runs.head import check_parts, read_head
from repro.runs.spec import Run, from_dict

if TYPE_CHECKING:
    import pandas as pd


class Loaded(Protocol):
    """A record's tables where those of many records have been read in one go."""

    def table(self, name: str) -> "pd.DataFrame":
        """Return the table in the file of this name."""

    def last(self, evaluated_model: str | None) -> dict[str, Any]:
        """Return the last row of `Record.curve`."""


@dataclass(frozen=True)
class Record:
    """A finished run: `run.json` in memory, the two tables read when first asked for.

    Args:
        loaded: where its tables come from, if not from its files.
    """

    folder: Path
    run: Run
    provenance: dict[str, Any]
    outcome: dict[str, Any]
    tables_sha256: dict[str, str]
    loaded: Loaded | None = field(default=None, compare=False, repr=False)

    @cached_property
    def epochs(self) -> "pd.DataFrame":
        """The per-epoch rows, columns `EPOCH_COLUMNS`; one row for each evaluation point and evaluated model."""
        return self._table("epochs.csv", EPOCH_COLUMNS)

    @cached_property
    def workers(self) -> "pd.DataFrame":
        """One row a worker, columns `WORKER_COLUMNS`."""
        return self._table("workers.csv", WORKER_COLUMNS)

    def _table(self, name: str, columns: tuple[str, ...]) -> "pd.DataFrame":
        return self.loaded.table(name) if self.loaded else _read_table(self.folder / name, columns)

    def altered(self) -> str | None:
        """Return the name of a table that is not as the run left it; None where all are."""
        for name, sha256 in self.tables_sha256.items():
            path = self.folder / name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                return name
        return None

    def curve(self, evaluated_model: str | None = None) -> "pd.DataFrame":
        """Return the rows of one evaluated model, by default *the* model, in the order of epochs."""
        rows, wanted = self.epochs, THE_MODEL if evaluated_model is None else (evaluated_model,)
        return rows[rows["evaluated_model"].isin(wanted)].sort_values("epoch", ignore_index=True)

    def final(self, metric: str, evaluated_model: str | None = None) -> float:
        """Return `metric` of `curve` at the last evaluation point."""
        if self.loaded:
            return float(self.loaded.last(evaluated_model)[metric])
        return float(self.curve(evaluated_model)[metric].iloc[-1])


def read(folder: Path) -> Record:
    """Return the record in `folder`.

    Raises:
        UserError: no readable run.json, or one of another schema version.
    """
    path = folder / "run.json"
    content = read_head(path, SCHEMA_VERSION)
    try:
        run = from_dict(content["run"])
        check_parts(content)
        return Record(folder, run, content["provenance"], content["outcome"], content["tables_sha256"])
    except KeyError as error:
        raise UserError(f"{path} lacks {error}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _read_table(path: Path, columns: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd

    try:
        table = pd.read_csv(plain(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise UserError(f"{path} lacks the columns {', '.join(missing)}")
    return table
