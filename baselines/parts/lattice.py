"""The cubic lattice with mod-q colouring: a vector is sent as the colours of its lattice point, b bits a coordinate.

    Enc(x)      = round(x/s + theta) mod q
    Dec(c, key) = s (c + q round((key/s + theta - c) / q) - theta)

Dec is the point of colour c nearest to the key. It is Enc's own point, and so at most s/2 from x in every coordinate,
as long as ||x - key||_inf <= (q - 1) s/2; beyond that coordinates are off by multiples of q s, and nobody is told. With
the dither theta, uniform in [-1/2, 1/2) and known to both sides, E[Dec(Enc(x))] = x; without it theta = 0.

Source: Davies et al., New Bounds for Distributed Mean Estimation and Variance Reduction, ICLR 2021 (arXiv 2002.09268),
section 9.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

_DTYPES = {4: np.uint8, 8: np.uint8, 16: np.uint16, 32: np.uint32}
_SMALLEST = 1e-12
"""Of sides: finer than float32 tells most parameters apart, and |x|/s stays below 2^51 for |x| < 2000."""


@dataclass(frozen=True)
class CubicLattice:
    """The lattice s (Z^d - theta), coloured with q = 2^bits colours.

    Args:
        bits: 4, 8 or 16; 32 is finer than float32 itself, and for tests.
        dithered: whether theta is drawn, as a function of `seed` and a number, or 0.
        seed: the run's, at least 0.
    """

    bits: int
    dithered: bool = True
    seed: int = 0

    @property
    def q(self) -> int:
        """The number of colours."""
        return 1 << self.bits

    def nbits(self, d: int) -> int:
        """Return the bits of the colours of d coordinates."""
        return self.bits * d

    def nbytes(self, d: int) -> int:
        """Return the bytes of the colours of d coordinates."""
        return -(-self.bits * d // 8)

    def side(self, y: float, safety: float = 1.0) -> float:
        """Return the side s = 2 y safety / (q - 1), a float32, a hair larger so that rounding does no harm.

        Args:
            y: at least ||x - key||_inf.
        """
        return float(np.float32(max(2 * y * safety / (self.q - 1) * (1 + 2**-20), _SMALLEST)))

    def encode(self, x: Tensor, s: float, out: Tensor, number: int = 0, first: int = 0) -> None:
        """Write the colours of x, float32, shape (d,), into `out`, uint8, shape (nbytes(d),).

        Args:
            number: of the dither; the decoder must name the same.
            first: index of the first coordinate, where x is a part of a vector; even for 4 bits.
        """
        colours = out.numpy().view(_DTYPES[self.bits]) if self.bits > 4 else np.empty(x.numel(), np.uint8)
        a, b = _dither_keys(self.seed, number)
        _kernels().encode(x.numpy(), s, self.dithered, a, b, first, self.q, colours)
        if self.bits == 4:
            _kernels().pack(colours, out.numpy())

    def decode(
        self, colours: Tensor, key: Tensor, s: float, out: Tensor | None = None, number: int = 0, first: int = 0
    ) -> Tensor:
        """Return the points of these colours that are nearest to the key, float32, shape (d,); `out` may be the key."""
        out = torch.empty_like(key) if out is None else out
        if self.bits == 4:
            each = np.empty(key.numel(), np.uint8)
            _kernels().unpack(colours.numpy(), each)
        else:
            each = colours.numpy().view(_DTYPES[self.bits])
        a, b = _dither_keys(self.seed, number)
        _kernels().decode(each, key.numpy(), s, self.dithered, a, b, first, self.q, out.numpy())
        return out


@cache
def _kernels() -> ModuleType:
    from baselines.parts import lattice_kernels  # numba takes a second to import

    return lattice_kernels


def _dither_keys(seed: int, number: int) -> tuple[np.uint32, np.uint32]:
    digest = blake2b(b"%d %d" % (seed, number), digest_size=8).digest()
    a, b = np.frombuffer(digest, "<u4").astype(np.uint32)
    return a, b
