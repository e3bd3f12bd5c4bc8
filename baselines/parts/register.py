"""An encoded vector as bytes, in a window or on its way."""

import torch
from torch import Tensor

from baselines.parts.lattice import CubicLattice

_HEAD = 8


class Register:
    """Views of some bytes: the side s (float32), the number of the dither (int32) and the colours.

    Args:
        memory: uint8, shape (Register.nbytes(...),).
        d: length of the vector.
        debug: whether the vector itself lies between, so that a wrong decoding is noticed.
    """

    def __init__(self, memory: Tensor, lattice: CubicLattice, d: int, debug: bool = False) -> None:
        self.memory, self._lattice = memory, lattice
        self._side, self._number = memory[:4].view(torch.float32), memory[4:_HEAD].view(torch.int32)
        start = _HEAD + 4 * d * debug
        self._vector = memory[_HEAD:start].view(torch.float32)
        self._colours = memory[start : start + lattice.nbytes(d)]

    @staticmethod
    def nbytes(lattice: CubicLattice, d: int, debug: bool = False) -> int:
        """Return the bytes of an encoded vector."""
        return _HEAD + 4 * d * debug + lattice.nbytes(d)

    def write(self, x: Tensor, s: float, number: int) -> None:
        """Encode x with side s and the dither of this number."""
        self._side[0], self._number[0] = s, number
        self._lattice.encode(x, s, self._colours, number)
        if self._vector.numel():
            self._vector.copy_(x)

    def read(self, key: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the decoded vector; `out` may be the key."""
        return self._lattice.decode(self._colours, key, self.side, out, int(self._number))

    @property
    def side(self) -> float:
        """The side s with which it was written."""
        return float(self._side)

    def wrong(self, decoded: Tensor) -> int:
        """Return how many coordinates were decoded wrongly; where there is no `debug`, none is known to be.

        A wrong one is off by (q - 1/2) s at least, a right one by s/2 at most.
        """
        if not self._vector.numel():
            return 0
        return int(((decoded - self._vector).abs_() > self._lattice.q * self.side / 2).sum())
