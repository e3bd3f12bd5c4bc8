"""ImageNet: where each image lies, in folders of JPEG files or in webdataset's tar files."""

import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from repro.draws import generator
from repro.errors import UserError
from repro.tasks.data.archive import members
from repro.tasks.data.decode import Request
from repro.tasks.data.folders import DataFolders

SUFFIXES = (".jpeg", ".jpg")
NUM_CLASSES = 1000


class Found(NamedTuple):
    """An image as it was found; images are sorted by these fields."""

    name: str
    """Of its file, without folder and suffix; so the order is the same for folders and archives."""
    path: str
    offset: int
    size: int
    label: int


@dataclass(frozen=True)
class Images:
    """Images in a fixed random order, each `sizes[i]` bytes (-1: all) from `offsets[i]` of `paths[files[i]]`.

    Args:
        labels: 0..999, int64, shape (N,).
    """

    paths: list[str]
    files: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    labels: Tensor

    def __len__(self) -> int:
        return len(self.files)

    def requests(self, indices: Tensor, draw: tuple[int, int] | None) -> list[Request]:
        """Return what to decode: the images `indices`, cut at random from draw = (seed, epoch) or at the centre."""
        return [
            Request(
                self.paths[self.files[i]],
                int(self.offsets[i]),
                int(self.sizes[i]),
                None if draw is None else (*draw, i),
            )
            for i in indices.tolist()
        ]


@dataclass(frozen=True)
class ImageNetData:
    """1,281,167 training and 50,000 test images."""

    train: Images
    test: Images


def place(folders: DataFolders) -> Path:
    """Return where ImageNet is looked for: IMAGENET_DIR where that is set, else `imagenet/` in the cache."""
    return folders.imagenet or folders.cache / "imagenet"


def find(folders: DataFolders) -> Path | None:
    """Return the folder that holds a training set, whatever is in it, or None where there is none.

    Raises:
        UserError: IMAGENET_DIR does not hold one.
    """
    folder = place(folders)
    if _shards(folder, "train") or (folder / "train").is_dir():
        return folder
    if folders.imagenet is not None:
        raise _missing(folder)
    return None


def load_from(folders: DataFolders) -> ImageNetData:
    """Return where the images lie; none is decoded yet.

    They are expected as train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, or as webdataset's tar files, in train/ and val/ or
    named so.

    Raises:
        UserError: they are not there, or a tar file is damaged or none of webdataset's.
    """
    folder = find(folders)
    if folder is None:
        raise _missing(place(folders))
    shards = {split: _shards(folder, split) for split in ("train", "val")}
    if shards["train"]:
        train, test = (_arrange(_in_shards(shards[split]), folder, split) for split in ("train", "val"))
        return ImageNetData(train, test)
    classes = {name: label for label, name in enumerate(_subfolders(folder / "train"))}
    train, test = (_arrange(_in_folders(folder / split, classes), folder, split) for split in ("train", "val"))
    return ImageNetData(train, test)


def _missing(folder: Path) -> UserError:
    what = "train/<wnid>/*.JPEG and val/<wnid>/*.JPEG, or webdataset's tar files"
    return UserError(f"ImageNet is not in {folder}/: set IMAGENET_DIR to the folder with {what}")


def _shards(place: Path, split: str) -> list[Path]:
    return sorted((place / split).glob("*.tar")) or sorted(place.glob(f"*{split}*.tar"))


def _subfolders(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror}") from None


def _in_folders(folder: Path, classes: dict[str, int]) -> Iterator[Found]:
    for name in _subfolders(folder):
        if name not in classes:
            raise UserError(f"{folder / name} is of a class that has no folder in train/")
        for file in os.listdir(folder / name):
            stem, suffix = os.path.splitext(file)
            if suffix.lower() in SUFFIXES:
                yield Found(stem, f"{folder}/{name}/{file}", 0, -1, classes[name])


def _in_shards(shards: list[Path]) -> Iterator[Found]:
    for shard in shards:
        try:
            with tarfile.open(shard, "r:") as tar:
                yield from _in_shard(tar, shard)
        except OSError as error:
            raise UserError(f"{shard} cannot be read: {error.strerror or error}") from None
        except (tarfile.TarError, ValueError) as error:
            raise UserError(f"{shard} is damaged or no plain tar file: {error}") from None


def _in_shard(tar: tarfile.TarFile, shard: Path) -> Iterator[Found]:
    """Yield the images of a shard: NAME.jpg with a class in NAME.cls; nothing is unpacked."""
    images: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, int] = {}
    for member in members(tar):
        folder, slash, base = member.name.rpartition("/")
        stem, _, suffix = base.partition(".")  # webdataset's rule: all after the first dot
        key = folder + slash + stem
        if f".{suffix.lower()}" in SUFFIXES:
            images[key] = member
        elif suffix == "cls" and (content := tar.extractfile(member)) is not None:
            labels[key] = _label(content.read(20), f"{member.name} in {shard}")
    for key, member in images.items():
        if key not in labels:
            raise UserError(f"{member.name} in {shard} has no class: there is no {key}.cls")
        yield Found(key.rpartition("/")[2], str(shard), member.offset_data, member.size, labels[key])


def _label(content: bytes, where: str) -> int:
    if not content.strip().isdigit() or not 0 <= (label := int(content)) < NUM_CLASSES:
        raise UserError(f"{where} is no class from 0 to {NUM_CLASSES - 1}: {content!r}")
    return label


def _arrange(found: Iterable[Found], place: Path, split: str) -> Images:
    """Return the images in an order that is random, but always the same.

    In sorted order the first images, over which normalisation statistics are taken, would all be of one class.
    """
    images = sorted(found)
    if not images:
        raise UserError(f"{place} holds no {split} images: neither {split}/<wnid>/*.JPEG nor webdataset's tar files")
    if max(image.label for image in images) >= NUM_CLASSES:
        raise UserError(f"{place / split} holds more than {NUM_CLASSES} classes")
    images = [images[i] for i in generator("imagenet order", 0).permutation(len(images))]
    number = {path: i for i, path in enumerate(dict.fromkeys(image.path for image in images))}
    return Images(
        paths=list(number),
        files=np.array([number[image.path] for image in images]),
        offsets=np.array([image.offset for image in images]),
        sizes=np.array([image.size for image in images]),
        labels=torch.tensor([image.label for image in images]),
    )
