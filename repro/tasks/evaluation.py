"""What the tasks share when they evaluate a model."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.tasks.task import TestSums

CHUNK = 500
"""Samples put through a model at once when no gradient is wanted."""


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode, without gradients, and put it back."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def classification_sums(model: nn.Module, inputs: Tensor, labels: Tensor) -> TestSums:
    """Return the sums of cross-entropy and correct answers of one chunk; the model is in evaluation mode."""
    scores = model(inputs)
    loss = F.cross_entropy(scores, labels, reduction="sum")
    return TestSums(float(loss), int((scores.argmax(1) == labels).sum()), len(labels))


def add_sums(parts: list[TestSums]) -> TestSums:
    """Return the sum of the parts of a classification test."""
    return TestSums(
        sum((part.loss for part in parts), 0.0),
        sum(part.correct or 0 for part in parts),
        sum(part.count for part in parts),
    )


def has_buffers(model: nn.Module) -> bool:
    """Say whether the model keeps normalisation statistics."""
    return any(True for _ in model.buffers())


def even_chunks(start: int, stop: int) -> list[Tensor]:
    """Return the indices start <= i < stop in chunks of nearly equal size, none above CHUNK.

    Equal sizes matter where statistics are averaged over the chunks.
    """
    if start >= stop:
        return []
    return list(torch.arange(start, stop).tensor_split(-((start - stop) // CHUNK)))
