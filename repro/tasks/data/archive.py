"""Archives of data sets: downloaded, checked, and taken apart without trusting their paths."""

import hashlib
import shutil
import tarfile
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from repro.errors import UserError


@dataclass(frozen=True)
class Archive:
    """Where the archive is downloaded from, and what it must be."""

    url: str
    size: int
    """Bytes."""
    md5: str


Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all) while the archive is downloaded."""


def fetch(archive: Archive, target: Path, progress: Progress | None, timeout_s: float) -> None:
    """Download the archive to `target`.

    Raises:
        OSError: it does not come, or what comes is not the archive.
    """
    found = hashlib.md5()
    done = 0
    with urllib.request.urlopen(archive.url, timeout=timeout_s) as answer, target.open("wb") as file:
        while block := answer.read(1 << 18):
            done += len(block)
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


def extract(packed: Path, names: Iterable[str], scratch: Path, target: Path) -> Path:
    """Take the named files of the folder `target.name` out of the archive; rename it to `target` when all are there.

    Raises:
        UserError: one of them is missing or not a plain file.
    """
    made = scratch / target.name
    made.mkdir()
    try:
        with tarfile.open(packed) as tar:
            for name in names:
                # Only contents are taken, never a path, link or mode (tarfile's filters need Python 3.11.4).
                member = tar.getmember(f"{target.name}/{name}")
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise UserError(f"{packed.name} cannot be unpacked: {member.name} is not a plain file")
                with content, (made / name).open("xb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, KeyError) as error:
        raise UserError(f"{packed.name} cannot be unpacked: {error}") from None
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster
            raise
    return target
