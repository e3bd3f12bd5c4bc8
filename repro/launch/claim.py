"""Lets several commands share a folder of results: no run is made twice at once."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repro.runs.folders import Folders, Named


@contextmanager
def claim(run: Named, store: Folders, scratch: Path) -> Iterator[Path | None]:
    """Hold `run` for this command, and yield the file for its spec; None where it is another's, or done meanwhile.

    The lock is on the file for the spec, which goes only once there is a record: who gets the lock of a file that has
    gone finds the record.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / f"{run.folder}.json"
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        except OSError:
            pass  # a file system without locks, as some clusters have: then this command is taken to be alone
        yield None if store.has(run) else path
        if store.has(run):
            path.unlink(missing_ok=True)
