"""Hands out a model's gradient in contiguous pieces while the backward pass is still computing the rest."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

from repro.flat import FlatModel

OnBucket = Callable[[Tensor], None]

BUCKETS = 8
SMALLEST_BYTES, LARGEST_BYTES = 128 * 2**10, 16 * 2**20
"""A gradient is cut in about `BUCKETS` pieces, so that most of the communication overlaps with the backward pass, but
none so small that latency, or so large that waiting for it, rules."""


def pieces(model: FlatModel, bucket_bytes: int | None = None, scale: float = 1.0) -> list[Tensor]:
    """Return the gradient's pieces, views from its end to its beginning, each of at least `bucket_bytes` but the last.

    Backward passes finish parameters roughly in reverse order, so the finished part is a growing suffix of the vector.
    The cut depends on sizes alone: every worker, every step and every world sees the same pieces.

    Args:
        bucket_bytes: by default an eighth of the gradient, within the limits above.
        scale: how many times larger the model is to be taken for.
    """
    gradient = model.gradient
    element = gradient.element_size()
    share = gradient.numel() * element // BUCKETS
    least = (bucket_bytes or min(max(share, SMALLEST_BYTES / scale), LARGEST_BYTES / scale)) // element
    cuts = [gradient.numel()]
    for _, start in reversed(model.offsets()):
        if start and cuts[-1] - start >= least:
            cuts.append(start)
    return [gradient[start:stop] for stop, start in pairwise([*cuts, 0])]


class Buckets:
    """Hands each piece to a callback as soon as the backward pass has finished it."""

    def __init__(self, model: FlatModel, bucket_bytes: int | None = None) -> None:
        self._pieces = pieces(model, bucket_bytes)
        self._parameters = len(model.offsets())
        starts = [offset for _, offset in model.offsets()]
        # of each piece, the parameter it begins with
        self._first = [starts.index(int(piece.storage_offset())) for piece in self._pieces]
        self._unfinished: list[bool] = []
        self._on_bucket: OnBucket | None = None
        for index, (parameter, _) in enumerate(model.offsets()):
            parameter.register_post_accumulate_grad_hook(self._hook(index))

    def open(self, on_bucket: OnBucket) -> None:
        """Start a backward pass whose finished pieces go to `on_bucket`."""
        self._on_bucket = on_bucket
        self._unfinished = [True] * self._parameters
        self._next = self._parameters  # parameters from here on are finished
        self._sent = 0  # pieces handed out

    def close(self) -> None:
        """End the backward pass: hand out what is left."""
        assert self._on_bucket is not None
        for piece in self._pieces[self._sent :]:
            self._on_bucket(piece)
        self._on_bucket = None

    def _hook(self, index: int) -> Callable[[nn.Parameter], None]:
        def finished(_: nn.Parameter) -> None:
            if self._on_bucket is None:
                return
            self._unfinished[index] = False
            while self._next and not self._unfinished[self._next - 1]:
                self._next -= 1
            while self._sent < len(self._pieces) and self._first[self._sent] >= self._next:
                self._on_bucket(self._pieces[self._sent])
                self._sent += 1

        return finished
