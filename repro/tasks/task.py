"""The contract of a task: data, model, loss and metric."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, ...]
"""Inputs and targets, and behind them what else a sample brings with it, such as its dropout mask."""


@dataclass(frozen=True)
class TestSums:
    """Sums over a part of the test set, so that the parts of several workers can be added.

    `correct` is None where the task has no notion of a correct answer.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    loss: float
    correct: int | None
    count: int


class Task(ABC):
    """Data + model + loss + metric; shared by all workers of a process and never changed after construction.

    A model is made by `new_model` for each worker; everything about a sample (its augmentation, its noise) is a
    function of (seed, epoch, index), so that which worker draws it makes no difference to the run.
    """

    num_samples: int
    """N, the number of training samples."""

    labels: Tensor | None = None
    """Class of every training sample, int64, shape (N,); None where samples have no class."""

    num_test_samples: int
    """Size of the test set; 0 where the task has none."""

    batched: ClassVar[bool] = False
    """Whether `losses_and_gradients` computes the gradients of many workers at once; samples are then the same in all
    epochs."""

    @abstractmethod
    def new_model(self, seed: int) -> nn.Module:
        """Return a freshly initialised model; the same seed gives the same parameters, and the global random
        state is left as it was."""

    @abstractmethod
    def batch(self, indices: Tensor, epoch: int) -> Batch:
        """Return inputs and targets, and what else `loss` wants, of the training samples `indices` (int64, shape (b,))
        in their variation number `epoch`."""

    def prefetch(self, indices: Tensor, epoch: int) -> None:  # noqa: B027
        """Get ready what `batch` will be asked for next; a task with data in memory has nothing to do.

        A hint that changes no result: `batch` gives the same with and without it.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the mean loss over the batch, a scalar."""

    def loss_and_gradient(self, model: nn.Module, batch: Batch, gradient: Tensor) -> float:
        """Write d loss / d params into `gradient`, shape (d,), and return the loss.

        The parameters' `.grad` must be views of `gradient` (see `repro.flat`). Tasks whose gradient has a closed
        form override this.
        """
        gradient.zero_()
        with torch.enable_grad():
            loss = self.loss(model, batch)
            loss.backward()
        return float(loss.detach())

    def losses_and_gradients(self, params: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return losses, shape (n,), and gradients, shape (n, d), of n workers: what `loss_and_gradient` gives, bit for
        bit, for each of them alone.

        Args:
            params: shape (n, d).
            batch: inputs and targets, shape (n, b, ...).
        """
        raise NotImplementedError

    @abstractmethod
    def test_sums(self, model: nn.Module, start: int, stop: int) -> TestSums:
        """Return the sums of loss and correct answers over test samples start <= i < stop, in evaluation mode."""

    def train_objective(self, model: nn.Module) -> float | None:
        """Return the full objective over the training set, or None where it is too dear to compute."""
        return None

    def normalisation_batches(self, model: nn.Module, start: int, stop: int) -> list[Tensor]:
        """Return the inputs, cut from training samples start <= i < stop, over which the normalisation statistics
        of a mean model are recomputed; empty for models without normalisation buffers."""
        return []
