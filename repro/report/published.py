"""The numbers printed in the papers, one row a number, with their source and how sure we are of it."""

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from repro.errors import UserError
from repro.plainfile import plain

EVIDENCE = ("table", "text", "figure", "authors-data", "unverified")
SPREADS = ("approximate", "at most", "at least")
"""What `spread` may say in words; otherwise it is the printed +- in the value's unit, or empty."""

COLUMNS = (
    "paper",  # its key in repro.papers, and the file's name
    "cell",  # the runnable cell it belongs to, or a name in the same style where none runs it yet
    "method",
    "dataset",
    "model",
    "workers",
    "metric",
    "value",
    "unit",
    "spread",
    "seeds",  # how many the authors averaged over, where they say
    "hardware",
    "source",
    "evidence",
    "note",
)


@dataclass(frozen=True)
class Published:
    """A number printed in a paper; the fields are the columns of `results/published/<paper>.csv`."""

    paper: str
    cell: str
    method: str
    dataset: str
    model: str
    workers: int | None
    metric: str
    value: float
    unit: str
    spread: str
    seeds: int | None
    hardware: str
    source: str
    evidence: str
    note: str

    @property
    def statement(self) -> str:
        """The value in words, e.g. `SwarmSGD, CIFAR-10, 8 workers: test_top1_percent = 91.79 percent`."""
        nodes = f"{self.workers} worker{'s' * (self.workers > 1)}" if self.workers else ""
        setting = ", ".join(part for part in (self.method, self.dataset, self.model, nodes) if part)
        return f"{setting}: {self.metric} {self._relation} {self.number} {self.unit}"

    @property
    def number(self) -> str:
        """The value with its printed spread, e.g. `91.5 +- 0.2`."""
        return f"{self.value:g}" if self.spread in ("", *SPREADS) else f"{self.value:g} +- {self.spread}"

    @property
    def _relation(self) -> str:
        if self.spread == "approximate":
            return "about"
        return self.spread if self.spread in SPREADS else "="


def read_published(folder: Path) -> list[Published]:
    """Return the values in `folder`/*.csv, in the order of the files' names and of their rows.

    Raises:
        UserError: a table breaks the schema; names file, row and column.
    """
    return [value for path in sorted(folder.glob("*.csv")) for value in _read_file(path)]


def _read_file(path: Path) -> list[Published]:
    try:
        with plain(path).open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise UserError(f"{path}: the columns must be {','.join(COLUMNS)}")
            return [_parse(row, path, reader.line_num) for row in reader]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from None


def _parse(row: Mapping[str, str | None], path: Path, line: int) -> Published:
    def fail(column: str, expected: str) -> UserError:
        return UserError(f"{path}, line {line}, column {column}: {expected}, not {row[column]!r}")

    def number(column: str) -> float:
        try:
            value = float(row[column] or "")
        except ValueError:
            raise fail(column, "a number") from None
        if not math.isfinite(value):
            raise fail(column, "a finite number")
        return value

    def count(column: str) -> int | None:
        text = row[column] or ""
        if text and not re.fullmatch(r"[1-9][0-9]{,17}", text):
            raise fail(column, "a positive whole number or nothing")
        return int(text) if text else None

    if None in row or None in row.values():
        raise UserError(f"{path}, line {line}: {len(COLUMNS)} fields expected")
    text = {column: row[column] or "" for column in COLUMNS}
    for column in COLUMNS:
        if not text[column].isprintable():
            raise fail(column, "no control characters")
    for column in ("method", "metric", "unit", "source"):
        if not text[column].strip():
            raise fail(column, "some text")
    if text["paper"] != path.stem or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", path.stem):
        raise fail("paper", f"the file's name {path.stem!r}, in kebab case")
    if not re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", text["cell"]):
        raise fail("cell", "a kebab-case name or nothing")
    if text["evidence"] not in EVIDENCE:
        raise fail("evidence", f"one of {', '.join(EVIDENCE)}")
    if text["spread"] not in ("", *SPREADS) and number("spread") < 0:
        raise fail("spread", f"a number of at least 0, one of {', '.join(SPREADS)}, or nothing")
    return Published(
        paper=text["paper"],
        cell=text["cell"],
        method=text["method"],
        dataset=text["dataset"],
        model=text["model"],
        workers=count("workers"),
        metric=text["metric"],
        value=number("value"),
        unit=text["unit"],
        spread=text["spread"],
        seeds=count("seeds"),
        hardware=text["hardware"],
        source=text["source"],
        evidence=text["evidence"],
        note=text["note"],
    )
