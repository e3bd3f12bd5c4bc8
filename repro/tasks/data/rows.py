"""Rows of big LIBSVM sets, memory-mapped: parsed once, in pieces, into files of the cache folder.

`<cache>/rows/<name>/` holds labels.npy and, of a dense set, values.npy, float32, shape (n, d); of a sparse one
starts.npy, columns.npy and values.npy (compressed rows). Nothing ever holds a whole set in memory but the system's page
cache.
"""

import fcntl
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro.draws import generator
from repro.errors import UserError
from repro.tasks.data import binary
from repro.tasks.data.folders import DataFolders
from repro.tasks.data.libsvm import fill_dense, pieces, signs
from repro.tasks.logistic_rows import DenseRows, Rows, SparseRows


@dataclass(frozen=True)
class Shape:
    """n rows, d features, and whether the rows are kept dense."""

    n: int
    d: int
    dense: bool


SHAPES = {
    "epsilon_normalized": Shape(400_000, 2_000, dense=True),
    "rcv1_test.binary": Shape(677_399, 47_236, dense=False),
    "a9a": Shape(*binary.SHAPES["a9a"], dense=True),
    "w8a": Shape(*binary.SHAPES["w8a"], dense=False),
}
"""Sets by the names of their files at https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary.html."""


def load_rows(name: str, folders: DataFolders, shapes: dict[str, Shape] = SHAPES) -> Rows:
    """Return the rows of a LIBSVM set, its labels as -1 and +1, memory-mapped from the cache, made first if need be.

    Raises:
        UserError: neither the set nor its cache is there, or it is not in LIBSVM's format, or not the set of that name.
    """
    folder, shape = folders.cache / "rows" / name, shapes[name]
    source = binary.find(name, folders)
    if source is None and not folder.is_dir():
        raise UserError(
            f"{name} is not in {binary.place(folders)}/: get {name}.bz2 from "
            "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary.html and set LIBSVM_DIR to its folder"
        )
    if source is not None and _made_from(folder) != _stamp(source, shape):
        with _alone(source):
            if _made_from(folder) != _stamp(source, shape):  # another process may have made it meanwhile
                _convert(source, shape, folder)
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
    if shape.dense:
        return DenseRows(arrays["values"], arrays["labels"])
    return SparseRows(arrays["starts"], arrays["columns"], arrays["values"], arrays["labels"], shape.d)


def _stamp(source: Path, shape: Shape) -> str:
    found = source.stat()
    return json.dumps([source.name, found.st_size, found.st_mtime_ns, shape.n, shape.d, shape.dense])


def _made_from(folder: Path) -> str | None:
    path = folder / "made-from.json"
    return path.read_text() if path.is_file() else None


@contextmanager
def _alone(source: Path) -> Iterator[None]:
    """Keep other processes from making rows of the same file."""
    with source.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _convert(source: Path, shape: Shape, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / "rows"
        made.mkdir()
        (_write_dense if shape.dense else _write_sparse)(source, folder.name, shape, made)
        (made / "made-from.json").write_text(_stamp(source, shape))
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def _write_dense(source: Path, name: str, shape: Shape, folder: Path) -> None:
    values = np.lib.format.open_memmap(folder / "values.npy", "w+", np.float32, (shape.n, shape.d))
    labels = fill_dense(values, source, name)
    values.flush()
    np.save(folder / "labels.npy", labels)


def _write_sparse(source: Path, name: str, shape: Shape, folder: Path) -> None:
    labels, starts, done = np.empty(shape.n), np.zeros(shape.n + 1, np.int64), 0
    with (folder / "columns.raw").open("wb") as columns_file, (folder / "values.raw").open("wb") as values_file:
        for of_rows, lengths, columns, of_columns in pieces(source, name, shape.n, shape.d):
            labels[done : done + lengths.size] = of_rows
            starts[done + 1 : done + lengths.size + 1] = lengths
            done += lengths.size
            columns_file.write(columns.tobytes())
            values_file.write(of_columns.astype(np.float32).tobytes())
    np.save(folder / "starts.npy", np.cumsum(starts))
    np.save(folder / "labels.npy", signs(labels, source, name))
    for name, kind in (("columns", np.int32), ("values", np.float32)):
        raw = folder / f"{name}.raw"
        np.save(folder / f"{name}.npy", np.memmap(raw, kind, "r"))
        raw.unlink()


def synthetic_dense(n: int, d: int, seed: int = 0) -> DenseRows:
    """Return rows of unit length with labels of a logistic model, of the kind of epsilon; made in pieces."""
    random = generator("synthetic dense rows", seed)
    values, labels, truth = np.empty((n, d), np.float32), np.empty(n), random.standard_normal(d) * 20
    for first in range(0, n, 10_000):
        piece = values[first : first + 10_000]
        piece[:] = random.standard_normal(piece.shape, np.float32)
        piece /= np.linalg.norm(piece, axis=1, keepdims=True)
        labels[first : first + 10_000] = _logistic_labels(piece @ truth, random)
    return DenseRows(values, labels)


def synthetic_sparse(n: int, d: int, nonzeros: int, seed: int = 0) -> SparseRows:
    """Return rows of unit length with at most `nonzeros` of d features, some far more frequent than others as words
    are (frequency falls as 1/(20 + rank)), and labels of a logistic model; of the kind of RCV1."""
    random = generator("synthetic sparse rows", seed)
    shares = np.cumsum(1 / (20 + np.arange(d)))
    places, truth = random.permutation(d), random.standard_normal(d) * 20
    lengths, columns, values, labels = [], [], [], []
    for first in range(0, n, 10_000):
        size = min(10_000, n - first)
        drawn = places[np.searchsorted(shares, random.random((size, nonzeros)) * shares[-1])]
        drawn.sort(axis=1)
        once = np.concatenate([np.ones((size, 1), bool), drawn[:, 1:] != drawn[:, :-1]], axis=1)
        weights = random.exponential(size=drawn.shape) * once
        weights /= np.linalg.norm(weights, axis=1, keepdims=True)
        labels.append(_logistic_labels((weights * truth[drawn]).sum(axis=1), random))
        lengths.append(once.sum(axis=1))
        columns.append(drawn[once].astype(np.int32))
        values.append(weights[once].astype(np.float32))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    return SparseRows(starts, np.concatenate(columns), np.concatenate(values), np.concatenate(labels), d)


def _logistic_labels(margins: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.where(random.random(margins.size) < 1 / (1 + np.exp(-margins)), 1.0, -1.0)
