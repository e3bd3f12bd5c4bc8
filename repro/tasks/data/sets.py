"""The data sets that somebody has to have; importing this imports none of what reads them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from repro.errors import UserError
from repro.tasks.data.folders import DataFolders

if TYPE_CHECKING:
    from repro.tasks.data.archive import Progress
    from repro.tasks.data.cifar import CifarSet


@dataclass(frozen=True)
class DataSet(ABC):
    """A data set of the tasks.

    Args:
        name: what `repro data` calls it.
        title: what people call it.
        variable: of the environment, which names its folder.
        how: to get it.
    """

    name: str
    title: str
    variable: str
    how: str

    @abstractmethod
    def find(self, folders: DataFolders) -> Path | None:
        """Return where it seems to be, not yet checked, or None.

        Raises:
            UserError: the folder that the user named does not hold it, or only a part of it is there.
        """

    @abstractmethod
    def check(self, folders: DataFolders, progress: "Progress | None" = None) -> Path:
        """Return what `variable` is to say, all that runs will read being there; download it where that can be done.

        Raises:
            UserError: it cannot be had, or is damaged.
        """


class Cifar(DataSet):
    """CIFAR-10 or CIFAR-100; every file's md5 is checked."""

    def find(self, folders: DataFolders) -> Path | None:
        return self._set.find(self._given(folders), folders.cache)

    def check(self, folders: DataFolders, progress: "Progress | None" = None) -> Path:
        return self._set.locate(self._given(folders), folders.cache, progress=progress).resolve()

    @property
    def _set(self) -> "CifarSet":
        from repro.tasks.data import cifar10, cifar100

        return cifar10.CIFAR10 if self.name == "cifar10" else cifar100.CIFAR100

    def _given(self, folders: DataFolders) -> Path | None:
        return folders.cifar10 if self.name == "cifar10" else folders.cifar100


class ImageNet(DataSet):
    """ImageNet; every image is found, none is decoded."""

    def find(self, folders: DataFolders) -> Path | None:
        from repro.tasks.data import imagenet

        return imagenet.find(folders)

    def check(self, folders: DataFolders, progress: "Progress | None" = None) -> Path:
        from repro.tasks.data import imagenet

        imagenet.load_from(folders)
        return imagenet.place(folders).resolve()


class Libsvm(DataSet):
    """One of LIBSVM's sets; it is read, and its size compared."""

    def find(self, folders: DataFolders) -> Path | None:
        from repro.tasks.data import binary

        return binary.find(self.name, folders)

    def check(self, folders: DataFolders, progress: "Progress | None" = None) -> Path:
        from repro.tasks.data import binary

        binary.load(self.name, folders)
        return binary.place(folders).resolve()


_DOWNLOADED = "set {variable} to the folder with {folder}/, or let `repro data {name}` download it"
_IMAGENET = "set IMAGENET_DIR to the folder with train/ and val/, of a folder a class or webdataset's tar files"
_LIBSVM = "get {name} from https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/ and set LIBSVM_DIR to its folder"


def _cifar(name: str, title: str, variable: str, folder: str) -> Cifar:
    return Cifar(name, title, variable, _DOWNLOADED.format(variable=variable, folder=folder, name=name))


DATA_SETS: dict[str, DataSet] = {
    data.name: data
    for data in (
        _cifar("cifar10", "CIFAR-10", "CIFAR10_DIR", "cifar-10-batches-py"),
        _cifar("cifar100", "CIFAR-100", "CIFAR100_DIR", "cifar-100-python"),
        ImageNet("imagenet", "ImageNet", "IMAGENET_DIR", _IMAGENET),
        *(
            Libsvm(name, name, "LIBSVM_DIR", _LIBSVM.format(name=name))
            for name in ("a9a", "w8a", "ijcnn1", "ijcnn1.val", "epsilon", "epsilon.t")
        ),
    )
}


def data_set(name: str) -> DataSet:
    """Return the data set called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in DATA_SETS:
        raise UserError(f"unknown data set {name!r}; known: {', '.join(DATA_SETS)}")
    return DATA_SETS[name]
