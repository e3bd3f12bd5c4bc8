"""Reads files of LIBSVM's format in pieces, so that no more of one than a piece is ever in memory."""

import bz2
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from repro.errors import UserError

PIECE = 1 << 24
"""Bytes of text parsed at a time."""

LONGEST_ENTRY = 64
"""Bytes of `index:value` and what is between two of them: a line of more for each feature is none of a set."""

Piece = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Labels, lengths, columns and values of some rows."""


def pieces(source: Path, name: str, n: int, d: int) -> Iterator[Piece]:
    """Yield the rows of the file of the set `name`, plain or .bz2, which has n rows and d features.

    Raises:
        UserError: it cannot be read, or is not that set in LIBSVM's format.
    """
    from repro.tasks.data.libsvm_parser import parse

    opener: Callable[[Path], IO[bytes]] = bz2.open if source.suffix == ".bz2" else Path.open  # type: ignore[assignment]
    rows, rest = 0, b""
    try:
        with opener(source, "rb") as file:  # type: ignore[call-arg]
            while (block := file.read(PIECE)) or rest:
                lines, _, rest = (rest + block).rpartition(b"\n") if block else (rest, b"", b"")
                if len(rest) > LONGEST_ENTRY * (d + 1):
                    raise UserError(f"{source} is not {name} in LIBSVM's format: a line is too long")
                if not lines:
                    continue
                text = np.frombuffer(lines + b"\n", np.uint8)
                count, colons = np.count_nonzero(text == ord("\n")), np.count_nonzero(text == ord(":"))
                piece = (np.empty(count), np.empty(count, np.int64), np.empty(colons, np.int32), np.empty(colons))
                found, filled, good = parse(text, d, *piece)
                if not good:
                    raise UserError(f"{source} is not {name} in LIBSVM's format: line {rows + found + 1}: not a row")
                rows += found
                if rows > n:
                    raise UserError(f"{source} is not {name}: more than {n} samples")
                yield piece[0], piece[1], piece[2][:filled], piece[3][:filled]
    except (OSError, EOFError) as error:
        raise UserError(f"{source} cannot be read: {error}") from None
    if rows < n:
        raise UserError(f"{source} is not {name}: {rows} samples, not {n}")


def fill_dense(values: np.ndarray, source: Path, name: str) -> np.ndarray:
    """Write the rows of a file into zeros of shape (n, d), and return their labels, -1 or +1.

    Raises:
        UserError: as above.
    """
    n, d = values.shape
    labels, done = np.empty(n), 0
    for of_rows, lengths, columns, of_columns in pieces(source, name, n, d):
        values[done + np.repeat(np.arange(lengths.size), lengths), columns] = of_columns
        labels[done : done + lengths.size] = of_rows
        done += lengths.size
    return signs(labels, source, name)


def signs(labels: np.ndarray, source: Path, name: str) -> np.ndarray:
    """Return the two classes as -1 and +1.

    Raises:
        UserError: there are not two.
    """
    classes = np.unique(labels)
    if classes.size != 2:
        raise UserError(f"{source} is not {name}: {classes.size} classes, not 2")
    return np.where(labels == classes[1], 1.0, -1.0)
