"""LIBSVM's text, plain or packed: dense and sparse rows, by both that read it."""

import bz2
import re
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from repro.errors import UserError
from repro.tasks.data import binary
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.rows import Shape, load_rows
from tests.fuzz import mutate
from tests.fuzz.formats import Format

N, D = 40, 12
TOKENS = (
    "1:",
    ":1",
    "0:1",
    "13:1",
    "1:1:1",
    "1 1",
    "-1",
    "+1",
    "1e999:1",
    "1:1e999",
    "1:nan",
    "99999999999999999999:1",
    "#",
    "qid:1",
)


@cache
def valid() -> list[bytes]:
    random = np.random.default_rng(3)
    rows = [
        f"{(-1) ** i:+d} " + " ".join(f"{j + 1}:{random.normal():.6g}" for j in range(D) if random.random() < 0.5)
        for i in range(N)
    ]
    text = ("\n".join(rows) + "\n").encode()
    return [text, bz2.compress(text)]


def make(seed: bytes, random: Random) -> bytes:
    packed = seed.startswith(b"BZh")
    if packed and random.random() < 0.3:
        return mutate.bytes_of(seed, random)
    text = bz2.decompress(seed) if packed else seed
    match random.randrange(5):
        case 0:
            text = mutate.bytes_of(text, random)
        case 1 | 2:
            words = re.split(rb"([ \n:])", text)
            for _ in range(random.choice((1, 3))):
                words[random.randrange(len(words))] = random.choice(TOKENS).encode()
            text = b"".join(words)
        case 3:  # far more than its packed bytes let expect
            part = random.choice((b"1 1:1\n", b"1", b" ", b"0", b"\n", text))
            most = random.choice((100, 10_000, 500_000, *([30_000_000] if packed and random.random() < 0.1 else [])))
            text = part * (most // len(part))
        case 4:
            lines = text.splitlines(keepends=True)
            random.shuffle(lines)
            text = b"".join(lines[: random.choice((N, N - 1, 1))])
    return bz2.compress(text) if packed else text


def read(content: bytes, folder: Path) -> None:
    (folder / ("set.bz2" if content.startswith(b"BZh") else "set")).write_bytes(content)
    folders = DataFolders(libsvm=folder, cache=folder / "cache")
    try:
        features, labels = binary.load("set", folders, {"set": (N, D)})
    except UserError:
        for dense in (False, True):  # these refuse it, too
            try:
                load_rows("set", folders, {"set": Shape(N, D, dense)})
            except UserError:
                continue
            raise AssertionError("read as rows alone") from None
        raise
    for dense in (False, True):
        rows = load_rows("set", folders, {"set": Shape(N, D, dense)})
        same = rows if dense else rows.dense()  # type: ignore[union-attr]
        assert np.array_equal(same.values, features.numpy(), equal_nan=True)  # type: ignore[union-attr]
        assert np.array_equal(rows.labels, labels.numpy())


FORMAT = Format(valid, make, read)
