"""Records: run.json, and tables with the digests that it names, read as the report does."""

import hashlib
import json
import re
import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from repro.launch.cost import Cost
from repro.papers.paper import Paper
from repro.report.appendix import appendix
from repro.report.evidence import _made
from repro.report.html import write_report
from repro.report.library import read_library
from repro.report.tables import write_tables
from repro.report.verdicts import judge, save
from repro.runs.record import read as read_record
from repro.runs.store import Store
from repro.runs.study import Studies
from tests.fuzz import mutate
from tests.fuzz.formats import Format
from tests.report.synthetic import LARGEBATCH, SWARM, add, papers

MARK = "\n# then the tables\n"
TABLES = ("epochs.csv", "workers.csv")

OUTCOMES: tuple[dict[str, Any], ...] = (
    {"state": "finished", "equal_steps": False, "measures": {"rejected": [0.0, 1.0, 0.0, 2.0]}, "compute_s": 3.5},
    {"state": "diverged", "restarts": 1, "params_sha256": "0" * 64, "lost": {"3": 17}},
)
"""What a run may add to what `add` says of it."""


@cache
def valid() -> list[bytes]:
    """Return run.json of two records; of one with its tables behind it."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            LARGEBATCH.recipe("smoke", 1, None),
            SWARM.recipe("paper", 2, None).replace(world="simulated", platform="x@1"),
        ]
        made = [
            add(Path(folder), run, 90.0, os="Linux", container="a.sif sha256:1", threads_per_rank=1) for run in runs
        ]
        heads = [_with(outcome, path / "run.json") for path, outcome in zip(made, OUTCOMES, strict=True)]
        tables = [(made[0] / name).read_text() for name in TABLES]
    return [*(head.encode() for head in heads), MARK.join([heads[0], *tables]).encode()]


def _with(outcome: dict[str, Any], path: Path) -> str:
    head = json.loads(path.read_text())
    return json.dumps(head | {"outcome": head["outcome"] | outcome}, sort_keys=True)


def make(seed: bytes, random: Random) -> bytes:
    head, *tables = seed.decode().split(MARK)
    if not tables:
        return mutate.json_of(json.loads(head), random)
    which = random.randrange(len(tables))
    if random.random() < 0.5:
        tables[which] = mutate.bytes_of(tables[which].encode(), random).decode(errors="replace")
    else:  # a field
        fields = re.split(r"([,\n])", tables[which])
        fields[random.randrange(len(fields))] = str(random.choice(mutate.HOSTILE))
        tables[which] = "".join(fields)
    digests = {
        name: hashlib.sha256(text.encode(errors="replace")).hexdigest()
        for name, text in zip(TABLES, tables, strict=False)
    }
    head = json.dumps(json.loads(head) | {"tables_sha256": digests})
    return MARK.join([head, *tables]).encode(errors="replace")


def read(content: bytes, folder: Path) -> None:
    head, *tables = content.split(MARK.encode())
    tables = tables or valid()[2].split(MARK.encode())[1:]
    (folder / "published").mkdir()
    draft = folder / "runs" / "draft"
    draft.mkdir(parents=True)
    (draft / "run.json").write_bytes(head)
    for name, table in zip(TABLES, tables, strict=False):
        (draft / name).write_bytes(table)
    record = read_record(draft)
    target = draft.with_name(record.run.folder)
    if target.parent == draft.parent:
        draft.rename(target)
    toys: dict[str, Paper] = papers()
    library = read_library(folder)
    verdicts = save(folder, judge(library, toys))
    write_report(folder, toys, library, verdicts, write_tables(folder, toys, library), [])
    Cost(Store(folder / "runs"), Studies(folder / "studies"))
    appendix(toys, library, verdicts, [])
    json.dumps([vars(_made(found)) for found in library.records.values()]).encode()


FORMAT = Format(valid, make, read, slow=2)
