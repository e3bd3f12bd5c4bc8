"""The CIFAR sets, python version: found or downloaded, checked, and read without trusting their pickles."""

import hashlib
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from repro.errors import UserError
from repro.tasks.data.archive import Archive, Progress, extract, fetch
from repro.tasks.data.restricted import restricted_loads


@dataclass(frozen=True)
class CifarData:
    """50,000 training and 10,000 test images: uint8, shape (N, 3, 32, 32); labels int64, shape (N,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


@dataclass(frozen=True)
class CifarSet:
    """One of the sets as it is published.

    Args:
        title: what people call it, e.g. CIFAR-10.
        variable: of the environment, which names its folder.
        folder, packed: names of the folder of its files and of the archive of that folder.
        md5: of the files.
        train, test: names of the files with training images, in order, and of that with test images.
        labels: the field of the files that holds the classes.
        num_classes: classes are 0 to that, less one.
    """

    title: str
    variable: str
    folder: str
    packed: str
    archive: Archive
    md5: Mapping[str, str]
    train: tuple[str, ...]
    test: str
    labels: bytes
    num_classes: int

    def locate(
        self, given: Path | None, cache: Path, *, progress: Progress | None = None, timeout_s: float = 30
    ) -> Path:
        """Return the folder that holds the files, all of them checked; download them if nobody has them.

        Args:
            given: what `variable` says: the folder, its parent, or the archive. Where it is given nothing else is
                tried.
            cache: where the files are looked for next, and put when they come from an archive.

        Raises:
            UserError: the data cannot be had, or a file is not the official one.
        """
        folder = self.find(given, cache)
        if folder is None:
            folder = self._download(cache, progress, timeout_s)
        for name in self.md5:
            self._read(folder / name)
        return folder

    def find(self, given: Path | None, cache: Path) -> Path | None:
        """Return the folder that holds the files, not yet checked, or None where there is none.

        An archive that is found is unpacked into `cache`.

        Raises:
            UserError: `given` does not hold the data, or only some files are there.
        """
        if given is None:
            return self._look_in(cache, cache)
        folder = self._look_in(given, cache)
        if folder is None:
            files = f"its files ({next(iter(self.md5))}, ...)"
            raise UserError(f"{self.variable}={given} holds neither {self.folder}/ nor {files} nor {self.packed}")
        return folder

    def load(self, folder: Path) -> CifarData:
        """Return the images and labels of the checked files in `folder`.

        Raises:
            UserError: a file cannot be read or is not the official one.
        """
        train = [self._images_and_labels(folder / name) for name in self.train]
        test_images, test_labels = self._images_and_labels(folder / self.test)
        return CifarData(
            torch.cat([images for images, _ in train]),
            torch.cat([labels for _, labels in train]),
            test_images,
            test_labels,
        )

    def load_found(self, given: Path | None, cache: Path) -> CifarData:
        """Return the data found in the user's folders; nothing is downloaded, since every rank comes here.

        Raises:
            UserError: the data is not there, cannot be read or is not the official one.
        """
        folder = self.find(given, cache)
        if folder is None:
            raise UserError(f"{self.title} is not in {cache}/: set {self.variable} to where {self.folder}/ is")
        return self.load(folder)

    def _look_in(self, place: Path, cache: Path) -> Path | None:
        for folder in (place / self.folder, place):
            missing = [name for name in self.md5 if not (folder / name).is_file()]
            if not missing:
                return folder
            if len(missing) < len(self.md5):
                raise UserError(f"{folder} holds only a part of {self.title}: {', '.join(missing)} missing")
        for packed in (place, place / self.packed):
            if packed.is_file():
                return self._unpack(packed, cache)
        return None

    def _unpack(self, packed: Path, cache: Path) -> Path:
        """Unpack an archive that is already here into `cache`, unless that was done before."""
        target = cache / self.folder
        if target.is_dir():
            return target
        with packed.open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != self.archive.md5:
            raise UserError(f"{packed} is damaged: md5 {found}, not {self.archive.md5}")
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".cifar-", dir=cache) as scratch:
                return extract(packed, self.md5, Path(scratch), target)
        except OSError as error:
            raise UserError(f"{packed} cannot be unpacked in {cache}/: {error}") from None

    def _download(self, cache: Path, progress: Progress | None, timeout_s: float) -> Path:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            # Made in a scratch folder and renamed when whole, so that nothing half-made is ever left.
            with tempfile.TemporaryDirectory(prefix=".cifar-", dir=cache) as scratch:
                packed = Path(scratch) / self.packed
                fetch(self.archive, packed, progress, timeout_s)
                return extract(packed, self.md5, Path(scratch), cache / self.folder)
        except (OSError, HTTPException) as error:  # urllib's errors are OSErrors
            raise UserError(
                f"{self.variable} is not set, {self.title} is not in {cache}/ and cannot be downloaded from "
                f"{self.archive.url} ({error}): set {self.variable} to where {self.folder}/ or {self.packed} is"
            ) from None
        finally:
            with suppress(OSError):  # goes only where it is empty
                cache.rmdir()

    def _read(self, path: Path) -> bytes:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        found, md5 = hashlib.md5(content).hexdigest(), self.md5[path.name]
        if found != md5:
            raise UserError(f"{path} is damaged: md5 {found}, not {md5}")
        return content

    def _images_and_labels(self, path: Path) -> tuple[Tensor, Tensor]:
        try:
            fields = restricted_loads(self._read(path))
            images, labels = fields[b"data"].values.reshape(-1, 3, 32, 32), fields[self.labels]
        except (AttributeError, LookupError, TypeError, ValueError):
            raise UserError(f"{path} has no images of {self.title}") from None
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        if type(labels) is not list or len(labels) != len(images):
            raise UserError(f"{path} has not one label for each of its {len(images)} images")
        if not all(type(label) is int and 0 <= label < self.num_classes for label in labels):
            raise UserError(f"{path} has a label that is no class of {self.title}")
        return torch.from_numpy(np.array(images)), torch.tensor(labels, dtype=torch.int64)
