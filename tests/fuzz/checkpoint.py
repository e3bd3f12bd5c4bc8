"""Saved states of one rank: a rank's file, a point's, or the head, each with the digests that fit what it holds.

An input's first byte says which of the three it replaces. The rest of the state is whole.
"""

import copy
import hashlib
import io
import json
import pickle
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import torch

from baselines import ALGORITHMS
from baselines.algorithm import Algorithm
from repro.runs import tensorfile
from repro.runs.checkpoint import HEAD, Checkpoints
from repro.runs.spec import Run, Sgd
from repro.runs.state import load_state_dict, state_dict
from repro.runs.train import Point
from repro.tasks import make_task
from repro.worker import Worker
from repro.worlds import platform
from repro.worlds.simulated import SimulatedWorld
from tests.fuzz import cifar, mutate
from tests.fuzz.formats import Format

RANK, POINT, HEADER = b"R", b"P", b"H"
FILES = {RANK: "000001/rank-00000.pt", POINT: "point-0000-rank-00000.pt", HEADER: f"000001/{HEAD}"}
RUN = Run("swarm", "quadratic", 1, 1, 4, 1.0, Sgd(0.1, momentum=0.9), "smoke")


class Alone:
    """A communicator of one rank."""

    rank, size = 0, 1

    def bcast(self, value: Any) -> Any:
        pickle.dumps(value)  # as MPI would
        return value

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def allgather(self, value: Any) -> list[Any]:
        return [value]

    def Barrier(self) -> None:
        pass


@cache
def algorithm() -> Algorithm:
    """Return the algorithm that states are loaded into."""
    task = make_task(RUN.task, {}, RUN.seed)
    comm = SimulatedWorld(1, platform.load("piz-daint")).comms[0]
    method = ALGORITHMS[RUN.algorithm]
    return method(Worker(RUN, task, 0), comm, method.Config())


@cache
def whole() -> dict[bytes, bytes]:
    """Return the files of a whole state by what an input says of them."""
    x = algorithm().worker.params
    state = {
        "state": state_dict(algorithm()), "clock_s": 1.5, "counters": {"messages": 3},
        "began": "2026-01-02T03:04:05+00:00", "seconds": 2.5, "restarts": 0,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        checkpoints = Checkpoints(Path(name), RUN, Alone())
        checkpoints.save(state, [Point(1, 1, 4, 0.5, 0.1, 1.5, x, x, torch.zeros(0))])
        return {kind: (Path(name) / file).read_bytes() for kind, file in FILES.items()}


def valid() -> list[bytes]:
    return [kind + content for kind, content in whole().items()]


def make(seed: bytes, random: Random) -> bytes:
    kind, content = seed[:1], seed[1:]
    if kind == HEADER:
        return kind + mutate.json_of(json.loads(content), random)
    match random.randrange(8):
        case 0:
            return kind + mutate.bytes_of(content, random)
        case 1 | 2:
            return kind + _packed(_with_pickle(content, lambda old: cifar.make(old, random)), random)
        case 3:
            return kind + _packed(_parts(content), random)
        case 4 | 5:
            return kind + _saved(content, random)
    return kind + _packed(_with_pickle(content, lambda old: mutate.bytes_of(old, random)), random)


def _parts(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return {name: file.read(name) for name in file.namelist()}


def _with_pickle(content: bytes, change: Any) -> dict[str, bytes]:
    return {name: change(part) if name.endswith("data.pkl") else part for name, part in _parts(content).items()}


def _packed(parts: dict[str, bytes], random: Random) -> bytes:
    """Return a zip file, at times with something that torch.save would not write."""
    out = io.BytesIO()
    trick = random.randrange(12)
    how = zipfile.ZIP_DEFLATED if trick == 0 else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", how) as file:
        for name, part in parts.items():
            if trick == 1 and "/data/" in name:
                part = bytes(random.choice((0, 1, len(part) // 2, 200_000)))
            if trick == 2 and random.random() < 0.3:
                continue
            if trick == 3 and random.random() < 0.3:
                name = random.choice(
                    ("../" + name, "/etc/passwd", name.replace("archive", "other"), "data.pkl", "a\0b")
                )
            if trick == 4 and name.endswith("byteorder"):
                part = random.choice((b"big", b"\xff", b""))
            file.writestr(name, part)
        if trick == 5:
            file.writestr(zipfile.ZipInfo("archive/data/9"), bytes(2_000_000), zipfile.ZIP_BZIP2)
        if trick == 6:
            file.writestr("archive/data.pkl", random.choice(cifar.ATTACKS))
    content = bytearray(out.getvalue())
    if trick in (7, 8):  # sizes and offsets in the directory
        at = content.rfind(b"PK\x01\x02") + random.choice((10, 20, 24, 42))
        content[at : at + 4] = random.choice(
            (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", bytes(content[4:8]))
        )
    return bytes(content)


def _saved(content: bytes, random: Random) -> bytes:
    """Return what torch.save writes of another tree, with other shapes and types."""
    tree = torch.load(io.BytesIO(content), weights_only=True)
    for _ in range(random.choice((1, 1, 3))):
        holder, key = random.choice(mutate.places(tree))
        value = holder[key]
        if isinstance(value, torch.Tensor) and random.random() < 0.7:
            size = random.choice((0, 1, 3, value.numel() + 1))
            choices = (
                torch.zeros(size),
                value.double(),
                value.reshape(1, -1),
                torch.zeros(0, dtype=torch.int64),
                value * float("nan"),
            )
            holder[key] = random.choice(choices)
        elif random.random() < 0.2:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(random.choice((*mutate.HOSTILE, 2**200, (1, 2), b"bytes", torch.ones(2))))
    out = io.BytesIO()
    torch.save(tree, out)
    return out.getvalue()


def read(content: bytes, folder: Path) -> None:
    kind = content[:1] if content[:1] in FILES else RANK
    files = {**whole(), kind: content[1:]}
    if kind == POINT:
        state, out = tensorfile.loads(files[RANK]), io.BytesIO()
        torch.save(state | {"points": [hashlib.sha256(files[POINT]).hexdigest()]}, out)
        files[RANK] = out.getvalue()
    if kind != HEADER:
        head = json.loads(files[HEADER]) | {"sha256": [hashlib.sha256(files[RANK]).hexdigest()]}
        files[HEADER] = json.dumps(head).encode()
    (folder / "saved" / "000001").mkdir(parents=True)
    for name, file in files.items():
        (folder / "saved" / FILES[name]).write_bytes(file)
    found = Checkpoints(folder / "saved", RUN, Alone()).last()
    if found is None:  # the documented result of damage
        assert content[1:] != whole()[kind]
        return
    saved, points = found
    assert all(isinstance(point, Point) for point in points)
    load_state_dict(algorithm(), saved.get("state"))  # type: ignore[arg-type]
    assert algorithm().worker.batches.next()


FORMAT = Format(valid, make, read)
