"""Hands out a model's gradient in contiguous pieces while the backward pass is still computing the rest."""

from collections.abc import Callable

from torch import Tensor, nn

from repro.flat import FlatModel

OnBucket = Callable[[Tensor], None]

BUCKETS = 8
SMALLEST_BYTES, LARGEST_BYTES = 128 * 2**10, 16 * 2**20
"""A gradient is cut in about `BUCKETS` pieces, so that most of the communication overlaps with the backward pass, but
none so small that latency, or so large that waiting for it, rules."""


class Buckets:
    """Cuts a flat gradient, from its end, into buckets of at least `bucket_bytes`.

    Backward passes finish parameters roughly in reverse order, so the finished part is a growing suffix of the vector.
    The cut depends on sizes alone: every worker, every step and every world sees the same buckets.
    """

    def __init__(self, model: FlatModel, bucket_bytes: int | None = None) -> None:
        self._gradient = model.gradient
        element = model.gradient.element_size()
        share = model.gradient.numel() * element // BUCKETS
        self._bucket_size = (bucket_bytes or min(max(share, SMALLEST_BYTES), LARGEST_BYTES)) // element
        self._starts = [offset for _, offset in model.offsets()]
        self._unfinished: list[bool] = []
        self._on_bucket: OnBucket | None = None
        for index, (parameter, _) in enumerate(model.offsets()):
            parameter.register_post_accumulate_grad_hook(self._hook(index))

    def open(self, on_bucket: OnBucket) -> None:
        """Start a backward pass whose finished pieces go to `on_bucket`."""
        self._on_bucket = on_bucket
        self._unfinished = [True] * len(self._starts)
        self._next = len(self._starts)  # parameters from here on are finished
        self._sent = self._gradient.numel()  # elements from here on are handed out

    def close(self) -> None:
        """End the backward pass: hand out what is left."""
        assert self._on_bucket is not None
        if self._sent:
            self._on_bucket(self._gradient[: self._sent])
        self._on_bucket = None

    def _hook(self, index: int) -> Callable[[nn.Parameter], None]:
        def finished(_: nn.Parameter) -> None:
            if self._on_bucket is None:
                return
            self._unfinished[index] = False
            while self._next and not self._unfinished[self._next - 1]:
                self._next -= 1
                start = self._starts[self._next]
                if start and self._sent - start >= self._bucket_size:
                    self._on_bucket(self._gradient[start : self._sent])
                    self._sent = start

        return finished
