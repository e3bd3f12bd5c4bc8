"""Traces of delays."""

import hashlib
import math
from pathlib import Path
from random import Random

from repro.worlds import delays
from tests.fuzz import mutate
from tests.fuzz.formats import Format


def valid() -> list[bytes]:
    return [b"1,2\n1.5,1e-3\n", b"1\n", b"1,1,1,4\n" * 40]


def make(seed: bytes, random: Random) -> bytes:
    if random.random() < 0.5:
        return mutate.bytes_of(seed, random)
    cells = [line.split(",") for line in seed.decode().splitlines()]
    row = random.choice(cells)
    row[random.randrange(len(row))] = str(random.choice([value for value in mutate.HOSTILE if value != 10**400]))
    return "\n".join(map(",".join, cells)).encode(errors="surrogatepass")


def read(content: bytes, folder: Path) -> None:
    path = folder / "trace.csv"
    path.write_bytes(content)
    spec = delays.with_digest(f"trace:{path}")
    assert spec == f"trace:{path}@{hashlib.sha256(content).hexdigest()[:12]}"
    of_step = delays.parse(spec).of_worker(0.1, 1, 3)
    assert all(0 <= of_step(step) < math.inf for step in range(300))


FORMAT = Format(valid, make, read)
