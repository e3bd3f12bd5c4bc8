"""CIFAR-10, python version: found or downloaded, checked, and read without trusting its pickles."""

import hashlib
import io
import pickle
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct
from torch import Tensor

from repro.errors import UserError
from repro.tasks.data.folders import DataFolders

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}


@dataclass(frozen=True)
class Archive:
    """Where the archive is downloaded from, and what it must be."""

    url: str
    size: int
    """Bytes."""
    md5: str


OFFICIAL = Archive(
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", 170498071, "c58f30108f718f92721af3b95e74349a"
)

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all) while the archive is downloaded."""


@dataclass(frozen=True)
class Cifar10Data:
    """50,000 training and 10,000 test images: uint8, shape (N, 3, 32, 32); labels int64 in 0..9, shape (N,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def locate(
    given: Path | None,
    cache: Path,
    *,
    progress: Progress | None = None,
    archive: Archive = OFFICIAL,
    md5: Mapping[str, str] = MD5,
    timeout_s: float = 30,
) -> Path:
    """Return the folder that holds the seven files, all of them checked; download them if nobody has them.

    Args:
        given: CIFAR10_DIR: the folder, its parent, or the archive. Where it is given nothing else is tried.
        cache: where the files are looked for next, and put when they come from an archive.

    Raises:
        UserError: the data cannot be had, or a file is not the official one.
    """
    folder = find(given, cache, archive=archive, md5=md5)
    if folder is None:
        folder = _download(cache, progress, archive, md5, timeout_s)
    for name in md5:
        _read(folder / name, md5[name])
    return folder


def find(given: Path | None, cache: Path, *, archive: Archive = OFFICIAL, md5: Mapping[str, str] = MD5) -> Path | None:
    """Return the folder that holds the seven files, not yet checked, or None where there is none.

    An archive that is found is unpacked into `cache`.

    Raises:
        UserError: `given` does not hold the data, or only some files are there.
    """
    if given is not None:
        folder = _look_in(given, cache, archive, md5)
        if folder is None:
            raise UserError(
                f"CIFAR10_DIR={given} holds neither {FOLDER}/ nor its seven files (data_batch_1, ...) nor {ARCHIVE}"
            )
        return folder
    return _look_in(cache, cache, archive, md5)


def load(folder: Path, *, md5: Mapping[str, str] = MD5) -> Cifar10Data:
    """Return the images and labels of the checked files in `folder`.

    Raises:
        UserError: a file cannot be read or is not the official one.
    """
    train = [_images_and_labels(folder / name, md5[name]) for name in md5 if name.startswith("data_batch_")]
    test_images, test_labels = _images_and_labels(folder / "test_batch", md5["test_batch"])
    return Cifar10Data(
        torch.cat([images for images, _ in train]),
        torch.cat([labels for _, labels in train]),
        test_images,
        test_labels,
    )


def load_from(folders: DataFolders) -> Cifar10Data:
    """Return the data found in the user's folders; nothing is downloaded, since every rank comes here.

    Raises:
        UserError: the data is not there, cannot be read or is not the official one.
    """
    folder = find(folders.cifar10, folders.cache)
    if folder is None:
        raise UserError(f"CIFAR-10 is not in {folders.cache}/: set CIFAR10_DIR to where {FOLDER}/ is")
    return load(folder)


def _look_in(place: Path, cache: Path, archive: Archive, md5: Mapping[str, str]) -> Path | None:
    for folder in (place / FOLDER, place):
        missing = [name for name in md5 if not (folder / name).is_file()]
        if not missing:
            return folder
        if len(missing) < len(md5):
            raise UserError(f"{folder} holds only a part of CIFAR-10: {', '.join(missing)} missing")
    for packed in (place, place / ARCHIVE):
        if packed.is_file():
            return _unpack(packed, cache, archive, md5)
    return None


def _unpack(packed: Path, cache: Path, archive: Archive, md5: Mapping[str, str]) -> Path:
    """Unpack an archive that is already here into `cache`, unless that was done before."""
    target = cache / FOLDER
    if target.is_dir():
        return target
    with packed.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != archive.md5:
        raise UserError(f"{packed} is damaged: md5 {found}, not {archive.md5}")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".cifar-10-", dir=cache) as scratch:
            return _extract(packed, Path(scratch), target, md5)
    except OSError as error:
        raise UserError(f"{packed} cannot be unpacked in {cache}/: {error}") from None


def _download(
    cache: Path, progress: Progress | None, archive: Archive, md5: Mapping[str, str], timeout_s: float
) -> Path:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Made in a scratch folder and renamed when whole, so that nothing half-made is ever left.
        with tempfile.TemporaryDirectory(prefix=".cifar-10-", dir=cache) as scratch:
            packed = Path(scratch) / ARCHIVE
            _fetch(archive, packed, progress, timeout_s)
            return _extract(packed, Path(scratch), cache / FOLDER, md5)
    except (OSError, HTTPException) as error:  # urllib's errors are OSErrors
        raise UserError(
            f"CIFAR10_DIR is not set, CIFAR-10 is not in {cache}/ and cannot be downloaded from {archive.url} "
            f"({error}): set CIFAR10_DIR to where {FOLDER}/ or {ARCHIVE} is"
        ) from None
    finally:
        with suppress(OSError):  # goes only where it is empty
            cache.rmdir()


def _fetch(archive: Archive, target: Path, progress: Progress | None, timeout_s: float) -> None:
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


def _extract(packed: Path, scratch: Path, target: Path, md5: Mapping[str, str]) -> Path:
    """Take the seven files out of the archive and rename their folder to `target` when all are there."""
    made = scratch / FOLDER
    made.mkdir()
    try:
        with tarfile.open(packed) as tar:
            for name in md5:
                # Only contents are taken, never a path, link or mode (tarfile's filters need Python 3.11.4).
                member = tar.getmember(f"{FOLDER}/{name}")
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


def _read(path: Path, md5: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    found = hashlib.md5(content).hexdigest()
    if found != md5:
        raise UserError(f"{path} is damaged: md5 {found}, not {md5}")
    return content


def _images_and_labels(path: Path, md5: str) -> tuple[Tensor, Tensor]:
    fields = restricted_loads(_read(path, md5))
    images = np.ascontiguousarray(fields[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
    return torch.from_numpy(images), torch.tensor(fields[b"labels"], dtype=torch.int64)


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _Unpickler(pickle.Unpickler):
    """Builds arrays and builtin containers and nothing else: whatever could run code is refused."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UserError(f"this pickle asks for {module}.{name}, which no CIFAR-10 file does") from None


def restricted_loads(content: bytes) -> Any:
    """Return what a pickle of CIFAR-10's kind holds, its strings as bytes.

    Raises:
        UserError: it asks for anything but numpy arrays and builtin containers.
    """
    return _Unpickler(io.BytesIO(content), encoding="bytes").load()
