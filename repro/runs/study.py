"""What a finished study left: a table, and a head that says what made it."""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from repro.errors import UserError
from repro.plainfile import plain
from repro.runs.folders import Folders, Row
from repro.runs.head import check_parts, read_head
from repro.runs.provenance import ROOT, sha256_of
from repro.runs.spec import SCALES, Scale, check_names, check_types

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
TABLE = "table.csv"

_SOURCE = re.compile(r"(?=.{,200}\Z)[a-zA-Z0-9_][a-zA-Z0-9_-]*(/[a-zA-Z0-9_-]+)*\.py")
"""A file of this project: nothing outside of it, and no longer than a file system takes."""


@dataclass(frozen=True)
class StudyRun:
    """A study of a paper at a scale with a seed: what one table is made for.

    Args:
        world: what its numbers are, as its Study says: theory, Monte Carlo, simulated or measured.
        seed: 0 where the study is exact.
    """

    paper: str
    study: str
    scale: Scale
    seed: int
    world: str

    def __post_init__(self) -> None:
        check_types(StudyRun, vars(self))
        check_names(paper=self.paper, study=self.study)
        if self.scale not in SCALES:
            raise UserError(f"unknown scale {self.scale!r}; known: {', '.join(SCALES)}")

    @property
    def name(self) -> str:
        """As commands name it, e.g. `easgd.stability`."""
        return f"{self.paper}.{self.study}"

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return f"{self.name}-{self.scale}-s{self.seed}"


@dataclass(frozen=True)
class StudyTable:
    """A finished study: `study.json` in memory, the table read when first asked for.

    Args:
        sources_sha256: digest of each file of this project that computed it, by its path there.
    """

    folder: Path
    run: StudyRun
    provenance: dict[str, Any]
    outcome: dict[str, Any]
    sources_sha256: dict[str, str]
    sha256: str

    @cached_property
    def table(self) -> "pd.DataFrame":
        """The table.

        Raises:
            UserError: it cannot be read.
        """
        import pandas as pd

        try:
            return pd.read_csv(io.BytesIO(self._content))
        except ValueError as error:
            raise UserError(f"{self.folder / TABLE} cannot be read: {error}") from None

    @property
    def altered(self) -> bool:
        """Whether the table is not as the study left it."""
        return hashlib.sha256(self._content).hexdigest() != self.sha256

    @cached_property
    def other_code(self) -> tuple[str, ...]:
        """The files that computed it and are not as they were then."""
        return tuple(
            name
            for name, sha256 in self.sources_sha256.items()
            if not (ROOT / name).is_file() or sha256_of(ROOT / name) != sha256
        )

    @property
    def _content(self) -> bytes:
        try:
            return plain(self.folder / TABLE).read_bytes()
        except OSError as error:
            raise UserError(f"{self.folder / TABLE} cannot be read: {error.strerror}") from None


@final
class Studies(Folders):
    """Tables of studies under one folder, `results/studies` unless told otherwise."""

    head = "study.json"

    def get(self, run: StudyRun) -> StudyTable:
        """Return what the study left."""
        return read(self.folder(run))

    def __iter__(self) -> Iterator[StudyTable]:
        """Yield all in the order of their folders' names."""
        return map(read, self.finished())

    def add(
        self,
        run: StudyRun,
        table: "pd.DataFrame",
        *,
        provenance: Row,
        outcome: Row,
        sources_sha256: Mapping[str, str],
    ) -> Path:
        """Write the table of a finished study, whole or not at all, and return its folder."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "study": asdict(run),
            "provenance": provenance,
            "outcome": outcome,
            "sources_sha256": sources_sha256,
        }
        return self.write(run, content, {TABLE: table.to_csv(index=False, lineterminator="\n")})


def read(folder: Path) -> StudyTable:
    """Return what the study in `folder` left.

    Raises:
        UserError: no readable study.json, or one of another schema version.
    """
    path = folder / Studies.head
    content = read_head(path, SCHEMA_VERSION)
    try:
        run = StudyRun(**content["study"])
        check_parts(content)
        return StudyTable(
            folder,
            run,
            content["provenance"],
            content["outcome"],
            _sources(content["sources_sha256"]),
            content["tables_sha256"][TABLE],
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not of a study: {error}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _sources(digests: Any) -> dict[str, str]:
    if not isinstance(digests, dict):
        raise UserError("sources_sha256 is no table")
    for name in digests:
        if not _SOURCE.fullmatch(name):
            raise UserError(f"sources_sha256 has {name[:100]!r}, which names no file of this project")
    return digests
