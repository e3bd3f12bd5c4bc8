"""What is in the tables of the papers' own studies, read by the claims and figures of these: the digest fits, and
anything may stand in a cell.

An input is the name of a study's folder in `results/studies`, and on the lines below its table.
"""

import dataclasses
import hashlib
import io
import json
import zlib
from functools import cache
from pathlib import Path
from random import Random

import pandas as pd

from repro.errors import UserError
from repro.papers import PAPERS
from repro.papers.drawing import HeatMap
from repro.papers.paper import Paper, Study
from repro.report.html import build
from repro.report.library import read_library
from repro.report.studyfigures import study_figures_of
from repro.report.verdicts import judge
from repro.runs.provenance import ROOT
from repro.runs.study import TABLE, Studies, StudyRun
from tests.fuzz import mutate
from tests.fuzz.formats import Format

LARGE = 20_000
"""Bytes above which of a table a part is taken."""

DRAWN, TALL = 8, 7.0
"""One of so many inputs is drawn, which takes longer than all else; and none of more inches, which many panels have."""

KEPT = Studies(ROOT / "results" / "studies")


@cache
def tables() -> dict[str, bytes]:
    """Return the tables that come with the project, two seeds of each study, by their folders' names."""
    return {path.name: _part(path) for path in KEPT.finished() if path.name[-2:] in ("s0", "s1", "s2")}


def _part(folder: Path) -> bytes:
    content = (folder / TABLE).read_bytes()
    if len(content) < LARGE:
        return content
    table, (_, study) = pd.read_csv(io.BytesIO(content)), _study(folder.name)
    figure = study.figures[0] if study.figures else None
    if isinstance(figure, HeatMap):
        panels = table[figure.panel] if figure.panel else pd.Series(0, table.index)
        ranks = [table[axis.column].groupby(panels).rank("dense") % 12 for axis in (figure.x, figure.y)]
        table = table[(ranks[0] == 1) & (ranks[1] == 1)]
        return table.to_csv(index=False).encode()
    return table.to_csv(index=False).encode()[:LARGE].rpartition(b"\n")[0]


def _study(folder: str) -> tuple[Paper, Study]:
    """Return the study of a folder, and its paper with no other."""
    key, _, name = folder.partition("-laptop-")[0].partition(".")
    paper, study = PAPERS[key], PAPERS[key].study(name)
    claims = tuple(claim for claim in paper.claims if claim.studies == (name,))
    return dataclasses.replace(paper, cells=(), claims=claims, studies=(study,)), study


def valid() -> list[bytes]:
    return [name.encode() + b"\n" + table for name, table in tables().items() if not name.endswith("s2")]


def make(seed: bytes, random: Random) -> bytes:
    name, _, table = seed.partition(b"\n")
    if random.random() < 0.15:
        return name + b"\n" + mutate.bytes_of(table, random)
    header, *rows = [line.split(",") for line in table.decode().splitlines()]
    for _ in range(random.choice((1, 1, 2, 4))):
        column, row = random.randrange(len(header)), random.choice(rows or [header])
        value = _cell(random)
        match random.randrange(12):
            case 0 | 1:
                row[column % len(row)] = value
            case 2:
                for other in rows:
                    other[column % len(other)] = value
            case 3:
                for number, other in enumerate(rows):  # all different
                    other[column % len(other)] = f"{value}{number}" if random.random() < 0.5 else str(number)
            case 4:
                for other in rows:
                    if random.random() < 0.2:
                        other[column % len(other)] = value
            case 5:
                for other in (header, *rows):
                    if len(other) > 1:
                        del other[column % len(other)]
            case 6:
                header[column] = random.choice((value, random.choice(header)))
            case 7:
                rows += [list(other) for other in random.choices(rows or [header], k=random.choice((1, 5, 200)))]
            case 8:
                rows = random.choice((rows[:1], rows[: len(rows) // 2], rows[1:], [], rows[-1:] * 3))
            case 9:
                random.shuffle(rows)
            case 10:
                a, b = random.randrange(len(header)), random.randrange(len(header))
                for other in rows:
                    if len(other) > max(a, b):
                        other[a], other[b] = other[b], other[a]
            case 11:
                for other in rows:
                    other[column % len(other)] += random.choice(("e300", "e-300", "0" * 15, "-"))
    return name + b"\n" + "\n".join(map(",".join, [header, *rows])).encode(errors="replace") + b"\n"


def _cell(random: Random) -> str:
    value = random.choice([value for value in mutate.HOSTILE if value != 10**400])
    text = str(value)[:2000]
    return random.choice((text.replace(",", ";").replace("\n", " "), "", "nan", "inf", "-inf", "1e308", "0", "-1", "x"))


def read(content: bytes, folder: Path) -> None:
    name, _, changed = content.partition(b"\n")
    kept = tables()
    chosen = name.decode(errors="replace")
    chosen = chosen if chosen in kept else sorted(kept)[0]
    paper, study = _study(chosen)
    (folder / "published").mkdir()
    other = chosen[:-1] + "2"
    for seed, table in enumerate((changed, kept[other]) if other in kept else (changed,), start=1):
        head = json.loads((KEPT.root / chosen / KEPT.head).read_text())
        run = StudyRun(paper.key, study.name, "paper", seed if study.seeded else 0, study.world)
        head["study"] = dataclasses.asdict(run)
        head["tables_sha256"] = {TABLE: hashlib.sha256(table).hexdigest()}
        place = folder / "studies" / run.folder
        place.mkdir(parents=True)
        (place / TABLE).write_bytes(table)
        (place / KEPT.head).write_text(json.dumps(head))
    library = read_library(folder)
    judge(library, {paper.key: paper})
    drawings = [figure.drawing for figure in study_figures_of({paper.key: paper}, library.studies)]
    small = all(drawing.csv and drawing.size[1] < TALL for drawing in drawings)
    if small and zlib.crc32(content) % DRAWN == 0:
        build(folder, {paper.key: paper}, ("svg",))
    if library.problems:
        raise UserError(library.problems[0].reason)  # it was left out, and nothing else


FORMAT = Format(valid, make, read, slow=8)
