"""A study of QSGD's quantizer and codes by themselves, on vectors of normal coordinates: bits of the real code, and the
quantizer's variance, beside the paper's bounds."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

SIZES = {"smoke": (1000,), "laptop": (1000, 10_000, 100_000, 1_000_000), "paper": (1000, 10_000, 100_000, 1_000_000)}
DRAWS = 8
SPARSE, DENSE = "s = 1, sparse code", "s = sqrt(d), dense code"


def sparse_bound_bits(d: int, s: int) -> float:
    """Theorem 3.2 with its o(1) left out: (3 + 3/2 log2(2 (s^2 + d) / (s (s + sqrt d)))) s (s + sqrt d) + 32."""
    nonzeros = s * (s + math.sqrt(d))
    return (3 + 1.5 * math.log2(2 * (s * s + d) / nonzeros)) * nonzeros + 32


def dense_bound_bits(d: int) -> float:
    """What follows from it at s = sqrt(d): 2.8 d + 32."""
    return 2.8 * d + 32


def codes(scale: str, seed: int) -> "pd.DataFrame":
    """Return bits and relative variance of one vector of each length, mean over draws of the rounding."""
    import numpy as np
    import pandas as pd
    import torch

    from baselines.parts.elias import EliasCode
    from baselines.parts.quantizer import Quantizer
    from repro.draws import generator

    rows = []
    for d in SIZES[scale]:
        v = torch.from_numpy(generator("normal vector", seed, d).standard_normal(d, np.float32))
        for regime, s in ((SPARSE, 1), (DENSE, math.isqrt(d))):
            quantizer, rng = Quantizer(s), generator("rounding", seed, d, s)
            code, bits, energy, along = EliasCode(quantizer, dense=regime == DENSE), [], [], []
            for _ in range(DRAWS):
                q = quantizer.quantize(v, rng)
                bits.append(8 * code.encode(q).numel())
                error = -v
                quantizer.add(q, error)
                energy.append(float(error.double().square().sum() / v.double().square().sum()))
                along.append(float(error.double().dot(v.double()) / v.double().square().sum()))
            bound = dense_bound_bits(d) if regime == DENSE else sparse_bound_bits(d, s)
            rows.append(
                {
                    "regime": regime,
                    "coordinates": d,
                    "levels": s,
                    "bits": np.mean(bits),
                    "bound_bits": bound,
                    "bits_of_bound": np.mean(bits) / bound,
                    "bits_a_coordinate": np.mean(bits) / d,
                    "variance": np.mean(energy),
                    "variance_bound": quantizer.variance_bound(d),
                    "error_along": np.mean(along),
                }
            )
    return pd.DataFrame(rows)
