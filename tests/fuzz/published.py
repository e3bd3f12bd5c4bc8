"""Tables of published values: the columns of results/published, read as the report does."""

import csv
import io
import re
from functools import cache
from pathlib import Path
from random import Random

from repro.report.html import write_report
from repro.report.library import read_library
from repro.report.tables import write_tables
from repro.report.verdicts import judge, save
from tests.fuzz import mutate
from tests.fuzz.formats import Format
from tests.report.synthetic import HEADER, papers, value_row


@cache
def valid() -> list[bytes]:
    rows = [value_row("lb", 91.5), value_row("swarm", 90.0, "unverified"), value_row("not-run", 1.0, "figure")]
    rows.append('toy,lb,"Method, own",Digits,Net,8,seconds,0.5,s,approximate,3,V100,figure 2,authors-data,a note')
    return ["\n".join([HEADER, *rows, ""]).encode()]


def make(seed: bytes, random: Random) -> bytes:
    text = seed.decode()
    if random.random() < 0.5:
        return mutate.bytes_of(seed, random)
    fields = re.split(r"([,\n])", text)  # a field, quoted as csv does
    out = io.StringIO()
    csv.writer(out).writerow([random.choice(mutate.HOSTILE)])
    fields[random.randrange(len(fields))] = out.getvalue().rstrip("\r\n")
    return "".join(fields).encode(errors="surrogatepass")


def read(content: bytes, folder: Path) -> None:
    (folder / "published").mkdir()
    (folder / "published" / "toy.csv").write_bytes(content)
    (folder / "runs").mkdir()
    toys = papers()
    library = read_library(folder)
    verdicts = save(folder, judge(library, toys))
    write_report(folder, toys, library, verdicts, write_tables(folder, toys, library), [])


FORMAT = Format(valid, make, read, slow=2)
