"""How samples are dealt to workers."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from repro.draws import generator
from repro.errors import UserError


class Partition(ABC):
    """Says which samples each worker sees in each epoch, and in which order."""

    @abstractmethod
    def indices(self, worker: int, epoch: int) -> Tensor:
        """Return the samples of one worker in one epoch in the order it draws them, int64."""

    def variation(self, worker: int, epoch: int) -> int:
        """Return which variation of its samples (augmentation, noise) a worker sees in an epoch: the epoch's, where no
        two workers draw the same sample in one."""
        return epoch


class Iid(Partition):
    """Every epoch one permutation, shared by all, is dealt like cards: worker r of p gets every p-th sample.

    The deal goes on where the last epoch's stopped: worker r's j-th sample is the (r + p*j)-th of the
    endless sequence of permutations. So the workers' k-th batches of size b are together the k-th batch of
    size p*b of a single process, for every k, and no sample is dropped where p does not divide N.
    """

    def __init__(self, num_samples: int, workers: int, seed: int) -> None:
        self.num_samples = num_samples
        self.workers = workers
        self.seed = seed

    def indices(self, worker: int, epoch: int) -> Tensor:
        first = (worker - epoch * self.num_samples) % self.workers
        return torch.from_numpy(_order(self.num_samples, self.seed, epoch)[first :: self.workers].copy())


@lru_cache(maxsize=4)  # workers of one process may be a few epochs apart
def _order(num_samples: int, seed: int, epoch: int) -> np.ndarray:
    return generator("order", seed, epoch).permutation(num_samples)


class Whole(Partition):
    """Every worker draws the whole set, in an order of its own in each of its passes."""

    def __init__(self, num_samples: int, workers: int, seed: int) -> None:
        self.num_samples, self.workers, self.seed = num_samples, workers, seed

    def indices(self, worker: int, epoch: int) -> Tensor:
        order = generator("order", self.seed, epoch, worker).permutation(self.num_samples)
        return torch.from_numpy(order)

    def variation(self, worker: int, epoch: int) -> int:
        return epoch * self.workers + worker


class Fixed(Partition):
    """Every worker keeps its shard for the whole run and reshuffles it each epoch."""

    def __init__(self, shards: list[np.ndarray], seed: int) -> None:
        self.shards = shards
        self.seed = seed

    def indices(self, worker: int, epoch: int) -> Tensor:
        return torch.from_numpy(generator("order", self.seed, epoch, worker).permutation(self.shards[worker]))


@dataclass(frozen=True)
class PartitionOption:
    """`iid`, `whole`, `shards:K` or `dirichlet:ALPHA`, taken apart."""

    kind: str
    number: float = 0


def parse(option: str) -> PartitionOption:
    """Return the parts of a partition option.

    Raises:
        UserError: it is unknown or its number is not one.
    """
    known = "known: iid, whole, shards:K (K class shards a worker, K >= 1), dirichlet:ALPHA (ALPHA > 0)"
    kind, colon, number = option.partition(":")
    try:
        if kind in ("iid", "whole") and not colon:
            return PartitionOption(kind)
        if kind == "shards" and int(number) >= 1:
            return PartitionOption(kind, int(number))
        if kind == "dirichlet" and 0 < float(number) < float("inf"):
            return PartitionOption(kind, float(number))
    except ValueError:
        pass
    raise UserError(f"unknown partition {option!r}; {known}")


def make_partition(option: str, num_samples: int, labels: Tensor | None, workers: int, seed: int) -> Partition:
    """Return the partition that `option` names.

    Args:
        option: `iid`, `whole`, `shards:K` or `dirichlet:ALPHA`.
        labels: class of every sample, shape (num_samples,); `iid` and `whole` do without.

    Raises:
        UserError: the option is unknown, the task has no classes, or there are too few samples for it.
    """
    parsed = parse(option)
    if num_samples < workers:
        raise UserError(f"{workers} workers cannot share {num_samples} samples")
    if parsed.kind == "iid":
        return Iid(num_samples, workers, seed)
    if parsed.kind == "whole":
        return Whole(num_samples, workers, seed)
    if labels is None:
        raise UserError(f"partition {option!r} needs a task whose samples have classes")
    random = generator("partition", seed)
    if parsed.kind == "shards":
        return Fixed(class_shards(labels.numpy(), workers, int(parsed.number), random), seed)
    return Fixed(dirichlet_shards(labels.numpy(), workers, parsed.number, random), seed)


def class_shards(labels: np.ndarray, workers: int, count: int, random: np.random.Generator) -> list[np.ndarray]:
    """Return each worker's samples: sorted by class, cut in shards, `count` random ones a worker.

    This is the deal of McMahan et al. 2017, section 3. The samples within a class are in random order, so
    that a class cut in two is cut at random.

    Raises:
        UserError: there are fewer samples than shards.
    """
    if workers * count > len(labels):
        raise UserError(f"{len(labels)} samples cannot be cut in {workers} x {count} shards")
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    shards = np.array_split(order, workers * count)
    dealt = random.permutation(len(shards)).reshape(workers, count)
    return [np.concatenate([shards[shard] for shard in row]) for row in dealt]


def dirichlet_shards(labels: np.ndarray, workers: int, alpha: float, random: np.random.Generator) -> list[np.ndarray]:
    """Return each worker's samples: every class is split in proportions from Dirichlet(alpha).

    Per class as in Yurochkin et al. 2019 (Hsu et al. 2019 draw a mix of classes per worker instead). A worker
    left with nothing gets one sample of the worker that has most.
    """
    parts: list[list[np.ndarray]] = [[] for _ in range(workers)]
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        proportions = random.dirichlet(np.full(workers, alpha))
        cuts = np.rint(np.cumsum(proportions)[:-1] * len(members)).astype(int)
        for part, piece in zip(parts, np.split(members, cuts), strict=True):
            part.append(piece)
    shards = [np.concatenate(part) for part in parts]
    for worker in range(workers):
        if len(shards[worker]) == 0:
            richest = max(range(workers), key=lambda other: len(shards[other]))
            shards[worker], shards[richest] = shards[richest][-1:], shards[richest][:-1]
    return shards
