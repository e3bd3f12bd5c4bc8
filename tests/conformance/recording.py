"""A Comm and a task that write down what an algorithm does with them."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from repro.tasks.task import Batch, Task, TestSums
from repro.worker import Worker
from repro.worlds.comm import Comm, Counters, Exchange, Pending, Window

SENDS = frozenset({"exchange", "isend", "put", "accumulate", "broadcast", "collective"})
RECEIVES = frozenset({"exchange", "irecv", "get", "collective"})
CHOOSES = frozenset({"exchange", "isend", "put", "accumulate", "get"})
"""Operations whose peer their caller has chosen."""


class Contact(NamedTuple):
    """One operation of one worker with one other, in a step; the first is 1."""

    step: int
    kind: str
    peer: int


class RecordingComm(Comm):
    """Another Comm, whose contacts it notes."""

    def __init__(self, inner: Comm) -> None:
        self.inner = inner
        self.rank, self.size, self.engine = inner.rank, inner.size, inner.engine
        self.contacts: list[Contact] = []

    def note(self, kind: str, *peers: int) -> None:
        """Write down a contact with each of the peers that are not this rank."""
        self.contacts += [Contact(self.step + 1, kind, peer) for peer in peers if peer != self.rank]

    @property
    def step(self) -> int:
        return self.inner.step

    @step.setter
    def step(self, step: int) -> None:
        self.inner.step = step

    @property
    def counters(self) -> Counters:
        return self.inner.counters

    def now(self) -> float:
        return self.inner.now()

    def off_the_clock(self) -> AbstractContextManager[None]:
        return self.inner.off_the_clock()

    def exchange(self, x: Tensor, peers: Sequence[int]) -> Exchange:
        self.note("exchange", *peers)
        return self.inner.exchange(x, peers)

    def isend(self, x: Tensor, peer: int, tag: int = 0) -> Pending:
        self.note("isend", peer)
        return self.inner.isend(x, peer, tag)

    def irecv(self, out: Tensor, peer: int, tag: int = 0) -> Pending:
        self.note("irecv", peer)
        return self.inner.irecv(out, peer, tag)

    def iallreduce_mean(self, x: Tensor) -> Pending:
        self.note("collective", *range(self.size))
        return self.inner.iallreduce_mean(x)

    def allgather(self, x: Tensor) -> Tensor:
        self.note("collective", *range(self.size))
        return self.inner.allgather(x)

    def broadcast(self, x: Tensor, root: int) -> None:
        if self.rank == root:
            self.note("broadcast", *range(self.size))
        self.inner.broadcast(x, root)

    def barrier(self) -> None:
        self.inner.barrier()

    def window(self, x: Tensor) -> Window:
        return RecordingWindow(self, self.inner.window(x))


class RecordingWindow(Window):
    """Another window, whose operations its Comm notes."""

    def __init__(self, comm: RecordingComm, inner: Window) -> None:
        self.comm, self.inner = comm, inner
        self.local = inner.local

    def lock(self, rank: int, *, shared: bool = False) -> AbstractContextManager[None]:
        return self.inner.lock(rank, shared=shared)

    def get(self, rank: int, out: Tensor, offset: int = 0) -> None:
        self.comm.note("get", rank)
        self.inner.get(rank, out, offset)

    def put(self, rank: int, x: Tensor, offset: int = 0) -> None:
        self.comm.note("put", rank)
        self.inner.put(rank, x, offset)

    def accumulate(self, rank: int, x: Tensor, offset: int = 0) -> None:
        self.comm.note("accumulate", rank)
        self.inner.accumulate(rank, x, offset)

    def flush(self, rank: int) -> None:
        self.inner.flush(rank)


class RecordingTask(Task):
    """One worker's view of another task.

    Attributes:
        worker: whose it is; set once there is one.
        draws: the samples of each batch, or part of one, with their epoch.
        passes: the parameters and the batch of each gradient.
        moves: the sum of all gradients, each times its learning rate, float64, shape (d,).
    """

    worker: Worker

    def __init__(self, inner: Task) -> None:
        self.inner = inner
        self.num_samples, self.labels, self.num_test_samples = inner.num_samples, inner.labels, inner.num_test_samples
        self.draws: list[tuple[list[int], int]] = []
        self.passes: list[tuple[Tensor, Batch]] = []
        self.moves: Tensor | None = None

    def new_model(self, seed: int) -> nn.Module:
        return self.inner.new_model(seed)

    def batch(self, indices: Tensor, epoch: int) -> Batch:
        self.draws.append((indices.tolist(), epoch))
        return self.inner.batch(indices, epoch)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.inner.loss(model, batch)

    def loss_and_gradient(self, model: nn.Module, batch: Batch, gradient: Tensor) -> float:
        self.passes.append((self.worker.params.clone(), batch))
        loss = self.inner.loss_and_gradient(model, batch, gradient)
        if self.moves is None:
            self.moves = torch.zeros_like(gradient, dtype=torch.float64)
        self.moves.add_(gradient, alpha=self.worker.lr)
        return loss

    def test_sums(self, model: nn.Module, start: int, stop: int) -> TestSums:
        return self.inner.test_sums(model, start, stop)
