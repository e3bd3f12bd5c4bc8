"""Archives of data sets: downloaded, checked, and taken apart without trusting their paths."""

import hashlib
import shutil
import tarfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from repro.errors import UserError


@dataclass(frozen=True)
class Archive:
    """Where the archive is downloaded from, and what it must be."""

    url: str
    size: int
    """Bytes."""
    md5: str


SLOWEST = 1000
"""Bytes a second, over each span of the timeout: a download that is slower is given up."""

MOST_BYTES = 1 << 30
"""Of one file in an archive: no data set here has one that is near that."""

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all) while the archive is downloaded."""


def fetch(archive: Archive, target: Path, progress: Progress | None, timeout_s: float) -> None:
    """Download the archive to `target`.

    Raises:
        OSError: it does not come, or what comes is not the archive.
    """
    found = hashlib.md5()
    done = 0
    with target.open("wb") as file, closing(_blocks(archive.url, timeout_s)) as blocks:
        since, before = time.monotonic(), 0
        for block in blocks:
            done += len(block)
            if (now := time.monotonic()) - since > timeout_s:
                if done - before < SLOWEST * timeout_s:
                    raise OSError(f"only {done - before} bytes came in {now - since:.3g} s")
                since, before = now, done
            if done > archive.size:
                raise OSError(f"more than {archive.size} bytes came")
            file.write(block)
            found.update(block)
            if progress is not None:
                progress(done, archive.size)
    if done < archive.size:
        raise OSError(f"only {done} of {archive.size} bytes came")
    if found.hexdigest() != archive.md5:
        raise OSError(f"md5 {found.hexdigest()}, not {archive.md5}")


def _blocks(url: str, timeout_s: float) -> Generator[bytes, None, None]:
    """Yield what comes, as it comes.

    A thread receives it, since urllib's timeout is that of each byte: headers that come slowly it would read for ever.

    Raises:
        OSError: nothing comes for so long.
    """
    come: Queue[bytes | Exception] = Queue(maxsize=4)
    given_up = threading.Event()

    def receive() -> None:
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                # not `read`, which waits for as much as it is asked for, however little comes at a time
                while not given_up.is_set() and (block := answer.read1(1 << 18)):
                    come.put(block)
            come.put(b"")
        except Exception as error:  # raised where it is waited for
            come.put(error)

    threading.Thread(target=receive, daemon=True).start()
    try:
        while block := come.get(timeout=timeout_s):
            if not isinstance(block, bytes):
                raise block
            yield block
    except Empty:
        raise OSError(f"timed out: nothing came in {timeout_s:g} s") from None
    finally:
        given_up.set()
        while not come.empty():  # the thread may wait for room
            come.get_nowait()


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield what is in an archive.

    Raises:
        tarfile.ReadError: it leads back to what was before, so that a reader would never come to its end.
    """
    for member in tar:
        if member.size < 0:
            raise tarfile.ReadError(f"{member.name} has a size of {member.size}")
        yield member


def extract(packed: Path, names: Iterable[str], scratch: Path, target: Path) -> Path:
    """Take the named files of the folder `target.name` out of the archive; rename it to `target` when all are there.

    Raises:
        UserError: one of them is missing or not a plain file.
    """
    made = scratch / target.name
    made.mkdir()
    try:
        with tarfile.open(packed) as tar:
            found = {member.name: member for member in members(tar)}
            for name in names:
                # Only contents are taken, never a path, link or mode (tarfile's filters need Python 3.11.4).
                member = found[f"{target.name}/{name}"]
                content = tar.extractfile(member) if member.isreg() and member.size <= MOST_BYTES else None
                if content is None:
                    raise UserError(f"{packed.name} cannot be unpacked: {member.name} is no plain file, or a huge one")
                with content, (made / name).open("xb") as file:
                    shutil.copyfileobj(content, file)
    except KeyError as error:
        raise UserError(f"{packed.name} cannot be unpacked: it has no file {error}") from None
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{packed.name} cannot be unpacked: {error}") from None
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster
            raise
    return target
