"""Sums over all workers, one a round, that are wanted later than they are given."""

from collections import deque

import torch
from torch import Tensor

from repro.worlds.comm import Comm, Pending


class LateSums:
    """A queue of all-reduces of one number each, under way while the workers go on; all give alike.

    Their results are whole numbers, so that the mean over the ranks times their number is the sum exactly.
    """

    state = ("_under_way",)

    def __init__(self, comm: Comm) -> None:
        self._comm = comm
        self._under_way: deque[tuple[Pending | None, Tensor]] = deque()

    def __len__(self) -> int:
        return len(self._under_way)

    def give(self, number: int) -> None:
        """Start the sum of the workers' numbers."""
        own = torch.tensor([number], dtype=torch.float64)
        self._under_way.append((self._comm.iallreduce_mean(own), own))

    def oldest(self) -> int:
        """Wait for the oldest sum, and take it off the queue."""
        pending, mean = self._under_way.popleft()
        if pending is not None:
            pending.wait()
        return round(float(mean) * self._comm.size)

    def all(self) -> list[int]:
        """Wait for all sums; they stay in the queue."""
        sums = [self.oldest() for _ in range(len(self))]
        self.load(sums)
        return sums

    def load(self, sums: list[int]) -> None:
        """Have these sums in the queue, oldest first."""
        means = [torch.tensor([number / self._comm.size], dtype=torch.float64) for number in sums]
        self._under_way = deque((None, mean) for mean in means)
