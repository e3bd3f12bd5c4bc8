"""Where the user keeps data."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataFolders:
    """Folders that data is read from.

    Args:
        cifar10, cifar100, imagenet, libsvm: CIFAR10_DIR and so on, or None where the user named none.
        cache: the folder in which they are looked for otherwise, and into which downloads go.
    """

    cifar10: Path | None = None
    libsvm: Path | None = None
    cache: Path = Path("data")
    cifar100: Path | None = None
    imagenet: Path | None = None

    @classmethod
    def from_environment(cls, *, cifar10: Path | None = None) -> "DataFolders":
        """Return the folders that the environment variables CIFAR10_DIR, CIFAR100_DIR, IMAGENET_DIR and LIBSVM_DIR
        name; `cifar10` wins over the first."""
        return cls(
            cifar10=cifar10.expanduser() if cifar10 else _path("CIFAR10_DIR"),
            cifar100=_path("CIFAR100_DIR"),
            imagenet=_path("IMAGENET_DIR"),
            libsvm=_path("LIBSVM_DIR"),
        )


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else None
