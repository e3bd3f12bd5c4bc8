"""CIFAR-10, python version."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from repro.tasks.data.archive import Archive, Progress
from repro.tasks.data.cifar import CifarData, CifarSet
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.restricted import restricted_loads

__all__ = ["Archive", "Progress", "find", "load", "load_from", "locate", "restricted_loads"]

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

OFFICIAL = Archive(
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", 170498071, "c58f30108f718f92721af3b95e74349a"
)

CIFAR10 = CifarSet(
    title="CIFAR-10",
    variable="CIFAR10_DIR",
    folder=FOLDER,
    packed=ARCHIVE,
    archive=OFFICIAL,
    md5=MD5,
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test="test_batch",
    labels=b"labels",
    num_classes=10,
)

Cifar10Data = CifarData


def locate(
    given: Path | None,
    cache: Path,
    *,
    progress: Progress | None = None,
    archive: Archive = OFFICIAL,
    md5: Mapping[str, str] = MD5,
    timeout_s: float = 30,
) -> Path:
    """Return the checked folder of the seven files, downloaded if nobody has them; see `CifarSet.locate`."""
    return replace(CIFAR10, archive=archive, md5=md5).locate(given, cache, progress=progress, timeout_s=timeout_s)


def find(given: Path | None, cache: Path, *, archive: Archive = OFFICIAL, md5: Mapping[str, str] = MD5) -> Path | None:
    """Return the folder of the seven files, not yet checked, or None; see `CifarSet.find`."""
    return replace(CIFAR10, archive=archive, md5=md5).find(given, cache)


def load(folder: Path, *, md5: Mapping[str, str] = MD5) -> CifarData:
    """Return the images and labels, 0..9, of the checked files in `folder`; see `CifarSet.load`."""
    return replace(CIFAR10, md5=md5).load(folder)


def load_from(folders: DataFolders) -> CifarData:
    """Return the data found in the user's folders; see `CifarSet.load_found`."""
    return CIFAR10.load_found(folders.cifar10, folders.cache)
