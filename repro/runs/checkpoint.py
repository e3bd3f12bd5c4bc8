"""Saved states of an unfinished run: a folder beside its spec, written so that whatever interrupts it, the last whole
one can be read."""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, final, get_type_hints

import torch

from repro.errors import UserError
from repro.plainfile import plain
from repro.runs import tensorfile
from repro.runs.folders import sync_folder
from repro.runs.provenance import ROOT, package_versions
from repro.runs.spec import Run
from repro.runs.train import Point

FORMAT = 1
KEPT = 2
"""Whole saved states that are kept: the second in case the last one's files are damaged."""

HEAD = "whole.json"
"""Written last: a saved state without it is none. It has the digest of each rank's file."""


class OtherState(UserError):
    """A saved state is not one of this run and this program."""


class Stopped(Exception):
    """The run's state has been saved, because it was told to stop; the message says where it is."""


class Processes(Protocol):
    """What is needed of the processes of a run: a part of `mpi4py.MPI.Intracomm`."""

    rank: int
    size: int

    def gather(self, own: Any) -> list[Any] | None: ...
    def allgather(self, own: Any) -> list[Any]: ...
    def bcast(self, own: Any) -> Any: ...
    def Barrier(self) -> None: ...


@final
class OneProcess:
    """A run in one process."""

    rank, size = 0, 1

    def gather(self, own: Any) -> list[Any]:
        return [own]

    def allgather(self, own: Any) -> list[Any]:
        return [own]

    def bcast(self, own: Any) -> Any:
        return own

    def Barrier(self) -> None:
        pass


class Checkpoints:
    """The saved states of one run; all its processes, the ranks, make one and call alike, each for its own file.

    A saved state is a folder with a file a rank. Evaluation points do not change any more, so each is written once,
    beside them, and a state says which it has. Only tensors and plain values are in them, and nothing else is read.

    Raises:
        OtherState: there are states, but of another run, or made by another version of the program or its packages.
    """

    def __init__(self, folder: Path, run: Run, communicator: Processes) -> None:
        self._folder, self._communicator = folder, communicator
        self._of = {
            "format": FORMAT,
            "run": json.loads(run.to_json()),
            "ranks": communicator.size,
            "packages": package_versions(),
            "program_sha256": program_sha256(),
        }
        self._points: list[str] = []  # digests of this rank's points that are written
        self._number = 0

    def save(self, state: dict[str, Any], points: Sequence[Point]) -> None:
        """Write this rank's state and its points so far; the oldest states go once this one is whole."""
        rank, number = self._communicator.rank, self._number + 1
        folder = self._folder / f"{number:06}"
        folder.mkdir(parents=True, exist_ok=True)
        for point in points[len(self._points) :]:
            self._points.append(_write(self._point(len(self._points)), vars(point)))
        digest = _write(folder / _name(rank), {**state, "points": self._points})
        sync_folder(folder)
        digests = self._communicator.gather(digest)
        if digests is not None:
            sync_folder(self._folder)
            _write_bytes(folder / HEAD, json.dumps({**self._of, "sha256": digests}).encode())
            sync_folder(folder)
            for old in self._states()[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        self._number = number
        self._communicator.Barrier()

    def last(self) -> tuple[dict[str, Any], list[Point]] | None:
        """Return this rank's part of the last state that all ranks can read, and its points; None where there is none.

        Raises:
            OtherState: see above.
        """
        states = self._communicator.bcast(self._states()[::-1])
        for folder in states:
            digest = self._check(folder)
            found = _read(folder / _name(self._communicator.rank), digest)
            points = None if found is None else self._points_of(found.get("points"))
            if all(self._communicator.allgather(points is not None)):
                assert found is not None and points is not None
                self._number, self._points = int(folder.name), found.pop("points")
                return found, points
            if self._communicator.rank == 0:
                print(f"the saved state {folder} is damaged; taking the one before, or the start", flush=True)
        if states and self._communicator.rank == 0:  # what cannot be read is not to count as the newest
            shutil.rmtree(self._folder)
        self._communicator.Barrier()
        return None

    def _check(self, folder: Path) -> str:
        """Return the digest of this rank's file; one that no file has, where the head is damaged."""
        told: tuple[list[str], Any] | None = None
        if self._communicator.rank == 0 and (head := _json(folder / HEAD)) is not None:
            digests = head.get("sha256")
            whole = _is_digests(digests, self._communicator.size)
            told = [name for name, value in self._of.items() if head.get(name) != value], digests if whole else None
        told = self._communicator.bcast(told)
        if told is None:
            return ""
        changed, digests = told
        if changed:
            raise OtherState(
                f"the state saved in {self._folder} is of another {', '.join(changed).replace('_sha256', '')}: "
                "go back to what saved it, or remove that folder to make the run from its start"
            )
        return digests[self._communicator.rank] if digests else ""

    def _points_of(self, digests: Any) -> list[Point] | None:
        if not _is_digests(digests):
            return None
        points = [_point_of(_read(self._point(number), digest)) for number, digest in enumerate(digests)]
        whole = [point for point in points if point is not None]
        return whole if len(whole) == len(points) else None

    def _states(self) -> list[Path]:
        return [head.parent for head in sorted(self._folder.glob(f"[0-9]*/{HEAD}")) if head.parent.name.isdecimal()]

    def _point(self, number: int) -> Path:
        return self._folder / f"point-{number:04}-{_name(self._communicator.rank)}"


@cache
def program_sha256() -> str:
    """Return the SHA-256 over the files that a training run consists of: all but what starts, judges and draws."""
    digest = hashlib.sha256()
    for path in sorted(_program()):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _program() -> Iterator[Path]:
    yield from (ROOT / "repro").glob("*.py")
    for folder in ("baselines", "repro/runs", "repro/tasks", "repro/worlds"):
        yield from (ROOT / folder).rglob("*.py")


def _is_digests(value: Any, count: int | None = None) -> bool:
    """Whether a value is a list of texts, of so many."""
    return type(value) is list and count in (None, len(value)) and all(type(digest) is str for digest in value)


def _point_of(content: dict[str, Any] | None) -> Point | None:
    """Return the point that a file holds; None where it holds anything else."""
    types = get_type_hints(Point)
    if content is None or content.keys() != types.keys():
        return None
    fits = all(isinstance(content[name], (int, float) if kind is float else kind) for name, kind in types.items())
    return Point(**content) if fits else None


def _name(rank: int) -> str:
    return f"rank-{rank:05}.pt"


def _write(path: Path, content: dict[str, Any]) -> str:
    """Write `content`, whole or not at all, and return the file's SHA-256."""
    file = io.BytesIO()
    torch.save(content, file)
    _write_bytes(path, file.getbuffer())
    return hashlib.sha256(file.getbuffer()).hexdigest()


def _write_bytes(path: Path, content: bytes | memoryview) -> None:
    draft = path.with_suffix(".draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:  # a full disk is to have room for what else is written
        draft.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def _json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(plain(path).read_text())
    except (OSError, RecursionError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _read(path: Path, sha256: str) -> dict[str, Any] | None:
    """Return the content of a file; None where it is not there or not what was written."""
    try:
        content = plain(path).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != sha256:
        return None
    try:
        found = tensorfile.loads(content)
    except Exception:  # whatever is said of it: what cannot be read is damaged
        return None
    return found if isinstance(found, dict) else None
