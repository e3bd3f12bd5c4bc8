"""A worker's endless stream of mini-batches."""

import copy

from torch import Tensor

from repro.tasks.data.partition import Partition

Piece = tuple[Tensor, int]
"""Samples (int64 indices) and the epoch whose variation of them is drawn, see `Partition.variation`."""


class BatchStream:
    """Mini-batches of one worker, going on across the ends of epochs without dropping samples.

    Args:
        partition: says which samples the worker sees in each epoch.
        worker: r, the worker.
        batch_size: b, samples a batch.
    """

    def __init__(self, partition: Partition, worker: int, batch_size: int) -> None:
        self.partition = partition
        self.worker = worker
        self.batch_size = batch_size
        self.epoch = 0
        self.position = 0
        self._deal()

    def next(self) -> list[Piece]:
        """Return the next `batch_size` samples: one piece, or more where the batch straddles an epoch's end.

        The pieces are to be made ready each in its own epoch, then put together in this order.
        """
        pieces: list[Piece] = []
        wanted = self.batch_size
        while wanted > 0:
            if self.position == self._length:
                self.epoch += 1
                self.position = 0
                self._deal()
            taken = min(wanted, self._length - self.position)
            if taken > 0:
                pieces.append((self._indices[self.position : self.position + taken], self._variation))
            self.position += taken
            wanted -= taken
        return pieces

    def peek(self) -> list[Piece]:
        """Return what `next` will return, and stay."""
        return copy.copy(self).next()

    def state(self) -> dict[str, int]:
        """Return where the stream stands."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state(self, state: dict[str, int]) -> None:
        """Go on from where `state` was taken.

        Raises:
            ValueError: it was taken of another stream.
        """
        epoch, position = state["epoch"], state["position"]
        if type(epoch) is not int or type(position) is not int or epoch < 0:
            raise ValueError(f"a stream is at no position {position!r} of an epoch {epoch!r}")
        self.epoch = epoch
        self._deal()
        if not 0 <= position <= self._length:
            raise ValueError(f"a stream of {self._length} samples is at no position {position}")
        self.position = position

    def _deal(self) -> None:
        self._indices = self.partition.indices(self.worker, self.epoch)
        self._variation = self.partition.variation(self.worker, self.epoch)
        self._length = len(self._indices)
