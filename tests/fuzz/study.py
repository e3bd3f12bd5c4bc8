"""Studies: study.json, and tables with the digest that it names."""

import hashlib
import json
import tempfile
from functools import cache
from pathlib import Path
from random import Random

import pandas as pd

from repro.report import studies
from repro.report.evidence import _made
from repro.report.view import _study_row
from repro.runs.provenance import commit_of
from repro.runs.study import Studies, StudyRun
from tests.fuzz import mutate
from tests.fuzz.formats import Format
from tests.report.synthetic import PROVENANCE

MARK = b"\n# then the table\n"
RUN = StudyRun("toy", "steps", "smoke", 1, "theory")


@cache
def valid() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        made = Studies(Path(name)).add(
            RUN,
            pd.DataFrame({"x": [1.0, 2.0], "what": ["a", "b"]}),
            provenance=PROVENANCE,
            outcome={"started_utc": "2026-01-02T03:04:05+00:00", "wall_s": 1.5, "rows": 2},
            sources_sha256={"repro/draws.py": "0" * 64},
        )
        head, table = ((made / name).read_bytes() for name in ("study.json", "table.csv"))
    return [head, head + MARK + table]


def make(seed: bytes, random: Random) -> bytes:
    head, mark, table = seed.partition(MARK)
    if not mark:
        return mutate.json_of(json.loads(head), random)
    table = mutate.bytes_of(table, random)
    tree = json.loads(head) | {"tables_sha256": {"table.csv": hashlib.sha256(table).hexdigest()}}
    return json.dumps(tree).encode() + MARK + table


def read(content: bytes, folder: Path) -> None:
    head, mark, table = content.partition(MARK)
    place = folder / RUN.folder
    place.mkdir()
    (place / "study.json").write_bytes(head)
    (place / "table.csv").write_bytes(table if mark else valid()[1].partition(MARK)[2])
    good, _ = studies.check(Studies(folder))
    for found in good.values():
        commit_of(found), _study_row(found), _made(found)
        json.dumps(sorted(map(str, found.table.columns)))


FORMAT = Format(valid, make, read)
