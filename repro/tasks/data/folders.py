"""Where the user keeps data."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DataFolders:
    """Folders that data is read from.

    Args:
        cifar10: CIFAR10_DIR, or None where the user named none.
        libsvm: LIBSVM_DIR, or None where the user named none.
        cache: the folder in which both are looked for otherwise, and into which downloads go.
    """

    cifar10: Path | None = None
    libsvm: Path | None = None
    cache: Path = Path("data")

    @classmethod
    def from_environment(cls) -> "DataFolders":
        """Return the folders that the environment variables CIFAR10_DIR and LIBSVM_DIR name."""
        return cls(_path("CIFAR10_DIR"), _path("LIBSVM_DIR"))


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser() if value else None
