"""Binary classification sets: LIBSVM's, and one made here."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from repro.draws import generator
from repro.errors import UserError
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.libsvm import fill_dense

SHAPES = {
    "a9a": (32561, 123),
    "w8a": (49749, 300),
    "ijcnn1": (49990, 22),
    "ijcnn1.val": (14990, 22),
    "epsilon": (400_000, 2000),
    "epsilon.t": (100_000, 2000),
}
"""Samples and features of the sets at https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary.html."""

FILES = {"epsilon": "epsilon_normalized", "epsilon.t": "epsilon_normalized.t"}
"""Files that are not called like their set."""


def synthetic(num_samples: int = 2000, num_features: int = 20) -> tuple[Tensor, Tensor]:
    """Return features, shape (N, d), and labels -1 or +1, shape (N,), float32, drawn from a logistic model.

    The set is always the same: every seed of a run solves the same problem.
    """
    random = generator("synthetic binary set", 0)
    features = random.standard_normal((num_samples, num_features)) / np.sqrt(num_features)
    margins = features @ (3 * random.standard_normal(num_features))
    labels = np.where(random.random(num_samples) < 1 / (1 + np.exp(-margins)), 1.0, -1.0)
    return torch.from_numpy(features).float(), torch.from_numpy(labels).float()


def place(folders: DataFolders) -> Path:
    """Return where LIBSVM's files are looked for: LIBSVM_DIR where that is set, else `libsvm/` in the cache."""
    return folders.libsvm or folders.cache / "libsvm"


def find(name: str, folders: DataFolders) -> Path | None:
    """Return the file of a set, plain or .bz2, or None where there is none."""
    folder, file = place(folders), FILES.get(name, name)
    return next((path for path in (folder / file, folder / f"{file}.bz2") if path.is_file()), None)


def load(name: str, folders: DataFolders, shapes: dict[str, tuple[int, int]] = SHAPES) -> tuple[Tensor, Tensor]:
    """Return features, shape (N, d), and labels -1 or +1, shape (N,), float32, of a LIBSVM file.

    Raises:
        UserError: it is not there, not in LIBSVM's format, or not the set of that name.
    """
    path = find(name, folders)
    if path is None:
        file = FILES.get(name, name)
        raise UserError(
            f"{file} is not in {place(folders)}/: get it from LIBSVM's page and set LIBSVM_DIR to its folder"
        )
    features = np.zeros(shapes[name], np.float32)
    labels = fill_dense(features, path, name)
    return torch.from_numpy(features), torch.from_numpy(labels).float()
