"""Delay models: how long each gradient of each worker takes, from how long one takes on the platform, or here."""

import csv
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import final

import numpy as np

from repro.draws import generator
from repro.errors import UserError
from repro.plainfile import plain

BLOCK = 256
"""Gradients whose delays are drawn at a time: a delay is a function of (seed, worker, step), whatever came before."""

SMALLEST, LARGEST = 1e-30, 1e30
"""Of all numbers in delays: times are to be finite, and so are their inverses."""

KNOWN = (
    "constant, speeds:1,1,0.5 (per worker, repeated), exponential:F (1 + F Exp(1)), lognormal:SIGMA (mean 1), "
    "slow:FACTOR@RANK, spells:PROBABILITY,FACTOR,LENGTH, trace:FILE.csv"
)


class Delays(ABC):
    """Seconds of each gradient; an abstract method draws a block of them."""

    @final
    def of_worker(self, base_s: float, seed: int, rank: int) -> Callable[[int], float]:
        """Return a function of the step that gives the seconds of one worker's gradient.

        Args:
            base_s: seconds of a gradient on the platform.
        """

        @lru_cache(maxsize=2)
        def block(number: int) -> list[float]:
            return [float(s) for s in base_s * self.factors(seed, rank, number)]

        return lambda step: block(step // BLOCK)[step % BLOCK]

    @abstractmethod
    def factors(self, seed: int, rank: int, block: int) -> np.ndarray:
        """Return by how much longer than the platform's each gradient of a block takes, shape (BLOCK,)."""


@dataclass(frozen=True)
class Constant(Delays):
    """Every gradient takes as long as the platform says."""

    def factors(self, seed: int, rank: int, block: int) -> np.ndarray:
        return np.ones(BLOCK)


@dataclass(frozen=True)
class Speeds(Delays):
    """Worker r is speeds[r mod length] times as fast as the platform."""

    speeds: tuple[float, ...]

    def factors(self, seed: int, rank: int, block: int) -> np.ndarray:
        return np.full(BLOCK, 1 / self.speeds[rank % len(self.speeds)])


@dataclass(frozen=True)
class Exponential(Delays):
    """Shifted exponential: 1 + F Exp(1), independent."""

    tail: float

    def factors(self, seed: int, rank: int, block: int) -> np.ndarray:
        return 1 + self.tail * _random(seed, rank, block).exponential(size=BLOCK)


@dataclass(frozen=True)
class LogNormal(Delays):
    """exp(sigma Z - sigma^2/2) with Z standard normal: mean 1, independent."""

    sigma: float

    def factors(self, seed: int, rank: int, block: int) -> np.ndarray:
        return np.exp(self.sigma * _random(seed, rank, block).standard_normal(BLOCK) - self.sigma**2 / 2)


@dataclass(frozen=True)
class Slow(Delays):
    """One worker takes `factor` times as long, always."""

    factor: float
    rank: int

    def factors(self, seed: int, rank: int, block: int) -> np.ndarray:
        return np.full(BLOCK, self.factor if rank == self.rank else 1.0)


@dataclass(frozen=True)
class Spells(Delays):
    """Each gradient begins, with some probability, a spell of `length` gradients that take `factor` times as long."""

    probability: float
    factor: float
    length: int

    def factors(self, seed: int, rank: int, block: int) -> np.ndarray:
        # a spell lasts a block at most, so it began in this block or in the one before
        begins = [_random(seed, rank, b).random(BLOCK) < self.probability for b in (block - 1, block) if b >= 0]
        padded = np.concatenate([*([np.zeros(BLOCK, dtype=bool)] if block == 0 else []), *begins])
        sums = np.cumsum(padded)
        slow = sums[BLOCK:] - sums[BLOCK - self.length : -self.length] > 0
        return np.where(slow, self.factor, 1.0)


@dataclass(frozen=True)
class Trace(Delays):
    """Factors from a file, one line a gradient and one column a worker, both repeated where the run has more."""

    table: tuple[tuple[float, ...], ...]

    def factors(self, seed: int, rank: int, block: int) -> np.ndarray:
        column = np.array([row[rank % len(row)] for row in self.table])
        return column[np.arange(block * BLOCK, (block + 1) * BLOCK) % len(column)]


def parse(spec: str) -> Delays:
    """Return the delay model that `spec` names.

    Raises:
        UserError: it is unknown or ill-formed, or its file is not there, not a table, or not the one it was.
    """
    name, _, argument = spec.partition(":")
    try:
        if name == "trace":
            return _trace(argument)
        model = _parse(name, argument)
    except (ValueError, TypeError):
        model = None
    if model is None:
        raise UserError(f"unknown delays {spec!r}; known: {KNOWN}")
    return model


def with_digest(spec: str) -> str:
    """Return the spec as it goes into a run: the file of a trace with the digest of what is in it.

    Raises:
        UserError: the file cannot be read.
    """
    name, _, path = spec.partition(":")
    if name != "trace" or "@" in path:
        parse(spec)
        return spec
    return f"trace:{path}@{_digest(path)}"


def _parse(name: str, argument: str) -> Delays | None:
    if name == "constant" and not argument:
        return Constant()
    if name == "slow":
        factor, _, rank = argument.partition("@")
        return Slow(_positive(factor), int(rank or 0))
    numbers = [_positive(part) for part in argument.split(",")]
    if name == "speeds":
        return Speeds(tuple(numbers))
    if name == "exponential":
        return Exponential(*numbers)
    if name == "lognormal":
        return LogNormal(*numbers)
    if name == "spells" and len(numbers) == 3 and numbers[0] < 1 and 1 <= numbers[2] <= BLOCK:
        return Spells(numbers[0], numbers[1], int(numbers[2]))
    return None


def _positive(text: str) -> float:
    number = float(text)
    if not SMALLEST <= number <= LARGEST:
        raise ValueError(text)
    return number


def _trace(argument: str) -> Trace:
    path, _, digest = argument.partition("@")
    if digest and _digest(path) != digest:
        raise UserError(f"{path} is not the file it was: its digest is {_digest(path)}, not {digest}")
    try:
        rows = list(csv.reader(_read(path).decode().splitlines()))
        table = tuple(tuple(_positive(cell) for cell in row) for row in rows)
    except (ValueError, csv.Error):
        table = ()
    if not table or not table[0] or len({len(row) for row in table}) > 1:
        raise UserError(f"{path} is not a table of positive numbers, one line a gradient and one column a worker")
    return Trace(table)


def _digest(path: str) -> str:
    return hashlib.sha256(_read(path)).hexdigest()[:12]


def _read(path: str) -> bytes:
    try:
        return plain(Path(path)).read_bytes()
    except OSError as error:
        raise UserError(f"delays: {path} cannot be read: {error.strerror}") from None


def _random(seed: int, rank: int, block: int) -> np.random.Generator:
    return generator("delays", seed, rank, block)
