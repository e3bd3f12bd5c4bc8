"""QSGD's quantizer: s levels of a norm, rounded at random, and the code that gives each coordinate as many bits.

    Q_s(v)_i = scale * sgn(v_i) * xi_i,    xi_i = (l + 1)/s with probability s |v_i|/scale - l, else l/s,
    l = floor(s |v_i| / scale),            Q_s(0) = 0

in each bucket of consecutive coordinates. With scale = ||v||_2 it is the paper's, with E[Q(v)] = v and

    E||Q(v) - v||^2 <= min(d/s^2, sqrt(d)/s) ||v||^2        for a bucket of d coordinates;

scale = max |v_i|, the paper's practice, is never larger, so the bound holds as well.

Source: Alistarh, Grubic, Li, Tomioka, Vojnovic, QSGD: Communication-Efficient SGD via Gradient Quantization and
Encoding, NIPS 2017 (arXiv 1610.02132), lemma 3.1, and the text on buckets and the maximum norm.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from repro.errors import UserError

Norm = Literal["l2", "max"]
MOST_LEVELS = 1 << 22
"""More are finer than float32 itself."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """What the quantizer gives.

    Attributes:
        scales: of the buckets, float32, shape (ceil(d / bucket),).
        levels: s xi_i with the sign of v_i, whole numbers from -s to s, shape (d,).
    """

    scales: Tensor
    levels: Tensor


@dataclass(frozen=True)
class Quantizer:
    """QSGD's quantizer.

    A bucket with nan, or with an infinite norm, is not refused, so that a run that diverges is seen to: its scale is
    nan or infinite and its levels 0, and all of it comes out as nan.

    Args:
        levels: s.
        norm: what the scale is: `l2`, or `max`.
        bucket: coordinates that have a scale in common; 0 for all.
    """

    levels: int
    norm: Norm = "l2"
    bucket: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.levels <= MOST_LEVELS:
            raise UserError(f"levels must be 1 to {MOST_LEVELS}, not {self.levels}")
        if self.norm not in get_args(Norm):
            raise UserError(f"unknown norm {self.norm!r}; known: {', '.join(get_args(Norm))}")
        if self.bucket < 0:
            raise UserError(f"bucket must not be negative, and is {self.bucket}")

    def buckets(self, d: int) -> int:
        """Return the number of buckets of d coordinates."""
        return -(-d // self.size(d))

    def size(self, d: int) -> int:
        """Return the coordinates of a bucket, the last apart, of a vector of d."""
        return self.bucket or max(1, d)

    def variance_bound(self, d: int) -> float:
        """Return the most that E||Q(v) - v||^2 / ||v||^2 can be, in a vector of d: that of a whole bucket."""
        size, s = min(self.size(d), d), self.levels
        return min(size / s**2, math.sqrt(size) / s)

    def empty(self, d: int) -> Quantized:
        """Return room for d quantized coordinates."""
        kind = torch.int8 if self.levels < 2**7 else torch.int16 if self.levels < 2**15 else torch.int32
        return Quantized(torch.empty(self.buckets(d)), torch.empty(d, dtype=kind))

    def quantize(self, v: Tensor, rng: np.random.Generator) -> Quantized:
        """Return Q(v), v float32, shape (d,); all randomness comes from 64 bits that are drawn from `rng`."""
        q = self.empty(v.numel())
        a, b = rng.integers(0, 1 << 32, 2, dtype=np.uint32)
        _kernels().quantize(
            v.numpy(), self.levels, self.size(v.numel()), self.norm == "max", a, b, q.scales.numpy(), q.levels.numpy()
        )
        return q

    def add(self, q: Quantized, out: Tensor, weight: float = 1.0) -> None:
        """Add weight * Q(v) to `out`, float32, shape (d,)."""
        size = self.size(out.numel())
        _kernels().add_dequantized(q.scales.numpy(), q.levels.numpy(), self.levels, size, weight, out.numpy())


class Code(ABC):
    """A way to write what a quantizer gives into bytes, and to read it back exactly.

    Attributes:
        fixed: whether all vectors of one length take as many bytes.
    """

    fixed: bool

    def __init__(self, quantizer: Quantizer) -> None:
        self.quantizer = quantizer

    @abstractmethod
    def encode(self, q: Quantized) -> Tensor:
        """Return the code, uint8."""

    @abstractmethod
    def decode(self, code: Tensor, d: int) -> Quantized:
        """Return the d coordinates that this is the code of."""


class FixedCode(Code):
    """The scales, 32 bits each, then s + level of each coordinate in b = ceil(log2(2s + 1)) bits.

    So 2, 4 and 8 bits a coordinate hold s = 1, 7 and 127 levels with their sign. Source: ours; the paper does not say
    how its experiments, which do without Elias's code, write their bits.
    """

    fixed = True

    @property
    def bits(self) -> int:
        """Of a coordinate."""
        return (2 * self.quantizer.levels).bit_length()

    def nbytes(self, d: int) -> int:
        """Return the bytes of d coordinates: 4 for each bucket, and b bits for each coordinate."""
        return 4 * self.quantizer.buckets(d) + -(-self.bits * d // 8)

    def encode(self, q: Quantized) -> Tensor:
        d = q.levels.numel()
        words = np.empty(-(-self.bits * d // 64), np.uint64)
        _kernels().pack(q.levels.numpy(), self.quantizer.levels, self.bits, words)
        packed = torch.from_numpy(words.view(np.uint8)[: -(-self.bits * d // 8)])
        return torch.cat([q.scales.view(torch.uint8), packed])

    def decode(self, code: Tensor, d: int) -> Quantized:
        q, start = self.quantizer.empty(d), 4 * self.quantizer.buckets(d)
        q.scales.view(torch.uint8).copy_(code[:start])
        words = np.zeros(-(-self.bits * d // 64), np.uint64)
        words.view(np.uint8)[: code.numel() - start] = code[start:].numpy()
        _kernels().unpack(words, self.quantizer.levels, self.bits, q.levels.numpy())
        return q


@cache
def _kernels() -> ModuleType:
    from baselines.parts import quantizer_kernels  # numba takes a second to import

    return quantizer_kernels
