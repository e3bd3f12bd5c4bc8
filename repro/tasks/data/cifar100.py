"""CIFAR-100, python version, with its 100 fine classes."""

from repro.tasks.data.archive import Archive
from repro.tasks.data.cifar import CifarData, CifarSet
from repro.tasks.data.folders import DataFolders

# Size and md5s are those that torchvision and others check; no official file has been seen here.
CIFAR100 = CifarSet(
    title="CIFAR-100",
    variable="CIFAR100_DIR",
    folder="cifar-100-python",
    packed="cifar-100-python.tar.gz",
    archive=Archive(
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", 169001437, "eb9058c3a382ffc7106e4002c42a8d85"
    ),
    md5={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
    train=("train",),
    test="test",
    labels=b"fine_labels",
    num_classes=100,
)


def load_from(folders: DataFolders) -> CifarData:
    """Return the data found in the user's folders, labels in 0..99; see `CifarSet.load_found`."""
    return CIFAR100.load_found(folders.cifar100, folders.cache)
