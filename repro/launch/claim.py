"""Lets several commands share a folder of results: no run is made twice at once."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from repro.runs.folders import Folders, Named


@dataclass(frozen=True)
class Claim:
    """A run that is this command's.

    Attributes:
        spec: file for the run's spec.
        lock: descriptor of the lock on it. What makes the run is to inherit it: where a command is killed, its run is
            another's only once nothing of it runs any more.
    """

    spec: Path
    lock: int


@contextmanager
def claim(run: Named, store: Folders, scratch: Path) -> Iterator[Claim | None]:
    """Hold `run` for this command; None where it is another's, or done meanwhile.

    The lock is on the file for the spec, which goes only once there is a record: who gets the lock of a file that has
    gone finds the record.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / f"{run.folder}.json"
    with path.open("a") as file:
        free = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        except OSError:
            pass  # a file system without locks, as some clusters have: then this command is taken to be alone
        yield Claim(path, file.fileno()) if free and not store.has(run) else None
        if store.has(run):  # also what a command that was killed has left
            path.unlink(missing_ok=True)


_held: list[int] = []
"""Descriptors of locks that children do not get: those of a command that is killed may live on."""


def _let_go() -> None:
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go)


@contextmanager
def alone(results: Path) -> Iterator[None]:
    """Wait until no other command writes its report into the folder, and keep others waiting."""
    results.mkdir(parents=True, exist_ok=True)
    folder = os.open(results, os.O_RDONLY)
    _held.append(folder)
    try:
        with suppress(OSError):  # without locks, as above
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        _held.remove(folder)
        os.close(folder)
