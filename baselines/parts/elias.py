"""QSGD's codes of variable length, on Elias's recursive (omega) code of whole numbers n >= 1.

    Elias(1) = 0;   else the binary digits of n, before them those of their number - 1, and so on until that is 1;
    a 0 at the end.     |Elias(n)| = 1 + |n| + |(|n| - 1)| + ...,  |n| the number of n's binary digits

The sparse code of a bucket is its scale in 32 bits and then for each coordinate that is not 0: Elias(gap to the one
before), a bit for the sign, Elias(level). The dense code is the scale and then for every coordinate Elias(level + 1),
and a bit for the sign where it is not 0.

Source: Alistarh et al., QSGD, NIPS 2017 (arXiv 1610.02132), theorem 3.2; P. Elias, Universal Codeword Sets and
Representations of the Integers, 1975. Ours: a bucket whose last coordinate is 0 ends with the gap that leads just
behind it (the paper has one bucket, which ends where the message does); signs of zeros are left out of the dense code;
a message ends with its byte.
"""

from functools import cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from baselines.parts.quantizer import Code, Quantized, Quantizer

SCALE_BITS = 32


def omega_length(n: int) -> int:
    """Return the bits of Elias(n), n >= 1."""
    return 1 if n == 1 else omega_length(n.bit_length() - 1) + n.bit_length()


class EliasCode(Code):
    """Elias's code of gaps, signs and levels, or where `dense` of all levels."""

    fixed = False

    def __init__(self, quantizer: Quantizer, dense: bool = False) -> None:
        super().__init__(quantizer)
        self.dense = dense

    def most_bits(self, d: int) -> int:
        """Return a number of bits that no code of d coordinates exceeds: gaps that sum to g take 2 g bits at most."""
        return SCALE_BITS * self.quantizer.buckets(d) + d * (4 + omega_length(self.quantizer.levels + 1))

    def encode(self, q: Quantized) -> Tensor:
        d = q.levels.numel()
        words = np.zeros(self.most_bits(d) // 64 + 2, np.uint64)
        write = _kernels().encode_dense if self.dense else _kernels().encode_sparse
        bits = write(q.scales.numpy(), q.levels.numpy(), self.quantizer.size(d), words)
        return torch.from_numpy(words[: -(-bits // 64)].astype(">u8").view(np.uint8)[: -(-bits // 8)])

    def decode(self, code: Tensor, d: int) -> Quantized:
        q = self.quantizer.empty(d)
        padded = np.zeros(8 * (-(-code.numel() // 8) + 1), np.uint8)
        padded[: code.numel()] = code.numpy()
        read = _kernels().decode_dense if self.dense else _kernels().decode_sparse
        read(padded.view(">u8").astype(np.uint64), self.quantizer.size(d), q.scales.numpy(), q.levels.numpy())
        return q


@cache
def _kernels() -> ModuleType:
    from baselines.parts import elias_kernels  # numba takes a second to import

    return elias_kernels
